/**
 * How the page asks the API. The key or token is kept for this tab, and sent as a header: nothing
 * that a browser would send by itself, from another site's page too.
 */

import { signal } from '@preact/signals';
import type { Problem } from './wire';

const KEPT = 'mamba.console.key';
/** What a header can hold. */
const SENDABLE = /^[\x21-\x7e]+$/;
const UNSENDABLE: Problem = {
  title: 'Unauthorized',
  status: 401,
  code: 'unauthorized',
  detail: 'A key or token is made of plain letters, digits and signs, without spaces: this is none.',
  request_id: '',
};

/** Why nothing is shown: no key, a wrong one, or one without the scope. */
export const refused = signal<Problem | null>(null);
export const hasKey = signal(sessionStorage.getItem(KEPT) !== null);

export class Refused extends Error {
  constructor(readonly problem: Problem) {
    super(problem.detail);
  }
}

export function useKey(key: string): void {
  sessionStorage.setItem(KEPT, key);
  hasKey.value = true;
  refused.value = null;
}

export function forgetKey(): void {
  sessionStorage.removeItem(KEPT);
  hasKey.value = false;
}

/** A response that is well. Throws `Refused`, or what `fetch` throws where nobody answers. */
export async function ask(path: string, options: RequestInit = {}): Promise<Response> {
  const headers = new Headers(options.headers);
  const key = sessionStorage.getItem(KEPT);
  if (key !== null) {
    if (!SENDABLE.test(key)) throw refuse(UNSENDABLE);
    headers.set('authorization', `Bearer ${key}`);
  }
  const address = new URL(`ops/${path}`, document.baseURI);
  const response = await fetch(address, { ...options, headers, cache: 'no-store' });
  if (response.ok) return response;
  throw refuse(await problemOf(response));
}

function refuse(problem: Problem): Refused {
  if (problem.status === 401 || problem.status === 403) refused.value = problem;
  return new Refused(problem);
}

export async function askJson<T>(path: string, options: RequestInit = {}): Promise<T> {
  const response = await ask(path, options);
  return (await response.json()) as T;
}

async function problemOf(response: Response): Promise<Problem> {
  try {
    const problem = (await response.json()) as Problem;
    if (typeof problem.detail === 'string') return problem;
  } catch {
    // A proxy's page, say.
  }
  const detail = `The server answered ${response.status} ${response.statusText}.`;
  return { title: 'Error', status: response.status, code: 'error', detail, request_id: '' };
}
