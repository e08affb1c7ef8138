/**
 * Requests to the console's endpoints. The key or token is stored for this tab and sent as a header,
 * because a browser would attach a cookie to requests from other sites too.
 */

import { signal } from '@preact/signals';
import type { Problem } from './types';

const STORAGE_KEY = 'mamba.console.key';
/** The characters that a header value can contain. */
const HEADER_VALUE = /^[\x21-\x7e]+$/;
const MALFORMED_KEY: Problem = {
  title: 'Unauthorized',
  status: 401,
  code: 'unauthorized',
  detail: 'This is not a valid key or token. It must contain only ASCII letters, digits and signs, without spaces.',
  request_id: '',
};

/** The problem that keeps the operator signed out: a missing or invalid key, or a missing scope. */
export const authProblem = signal<Problem | null>(null);
export const hasKey = signal(sessionStorage.getItem(STORAGE_KEY) !== null);

export class RequestError extends Error {
  constructor(readonly problem: Problem) {
    super(problem.detail);
  }
}

export function useKey(key: string): void {
  sessionStorage.setItem(STORAGE_KEY, key);
  hasKey.value = true;
  authProblem.value = null;
}

export function forgetKey(): void {
  sessionStorage.removeItem(STORAGE_KEY);
  hasKey.value = false;
}

/** Send a request. Throws `RequestError` for an error response, and what `fetch` throws without one. */
export async function request(path: string, options: RequestInit = {}): Promise<Response> {
  const headers = new Headers(options.headers);
  const key = sessionStorage.getItem(STORAGE_KEY);
  if (key !== null) {
    if (!HEADER_VALUE.test(key)) throw requestError(MALFORMED_KEY);
    headers.set('authorization', `Bearer ${key}`);
  }
  const address = new URL(`ops/${path}`, document.baseURI);
  const response = await fetch(address, { ...options, headers, cache: 'no-store' });
  if (response.ok) return response;
  throw requestError(await problemOf(response));
}

function requestError(problem: Problem): RequestError {
  if (problem.status === 401 || problem.status === 403) authProblem.value = problem;
  return new RequestError(problem);
}

export async function requestJson<T>(path: string, options: RequestInit = {}): Promise<T> {
  const response = await request(path, options);
  return (await response.json()) as T;
}

async function problemOf(response: Response): Promise<Problem> {
  try {
    const problem = (await response.json()) as Problem;
    if (typeof problem.detail === 'string') return problem;
  } catch {
    // For example a proxy's HTML page.
  }
  const detail = `The server responded with ${response.status} ${response.statusText}.`;
  return { title: 'Error', status: response.status, code: 'error', detail, request_id: '' };
}
