import type { ReportConnection } from './connection.js';
import { ConnectionLostError, isTransient, retryAfterOf } from '../errors.js';
import { isOffline, onPageReturn } from './page_events.js';
import { ReconnectPolicy } from './reconnect_policy.js';
import type { ConnectionSettings, HeadersSource } from '../settings.js';

export interface HttpRequest {
  url: string;
  init: RequestInit;
  /** Aborts the request and its response. */
  signal: AbortSignal;
  /** Where to resume the stream of a GET. Default `url`. */
  resumeUrl?: string;
  /** Milliseconds until the response must have begun. Default: the time for the body and `maxSilence`. */
  limit?: number;
}

/** The server has not responded within the limit. */
export class ResponseTimeout extends TypeError {
  override readonly message = 'no response';
}

/** The slowest upload, in bytes per millisecond. */
const MIN_UPLOAD_RATE = 10;

/**
 * Sends a request, and repeats it while there is no response. A POST has an `Idempotency-Key`, so the
 * server executes it only once.
 */
export async function send(
  request: HttpRequest,
  settings: ConnectionSettings,
  report: ReportConnection,
): Promise<Response> {
  report({ state: 'connecting' });
  const repeatable = withIdempotencyKey(request);
  const policy = new ReconnectPolicy(settings, settings.maxSendTime);
  for (;;) {
    const { response, error } = await settled(sendOnce(repeatable, settings));
    if (response && !isLost(response)) return response;
    if (request.signal.aborted) throw request.signal.reason;
    policy.fail();
    if (policy.expired || !isRepeatable(request.init)) return response ?? fail(error);
    await response?.body?.cancel();
    report({ state: 'retrying', attempt: policy.attempt + 1, offline: isOffline() });
    await policy.wait(request.signal, 1000 * ((response && retryAfterOf(response)) ?? 0));
    policy.begin();
  }
}

/** Sends a request once, or twice if the server refuses the first headers with 401. */
export async function sendOnce(request: HttpRequest, settings: ConnectionSettings): Promise<Response> {
  const response = await sendWithHeaders(request, settings, false);
  if (response.status !== 401 || typeof settings.headers !== 'function') return response;
  await response.body?.cancel();
  return sendWithHeaders(request, settings, true);
}

async function sendWithHeaders(
  { url, init, signal, limit }: HttpRequest,
  settings: ConnectionSettings,
  refresh: boolean,
): Promise<Response> {
  const wait = limit ?? settings.maxSilence + sizeOf(init) / MIN_UPLOAD_RATE;
  const headers = new Headers(init.headers);
  for (const [name, value] of await currentHeaders(settings.headers, refresh)) headers.set(name, value);
  const abort = new AbortController();
  const forget = linkAbort(signal, abort);
  const late = setTimeout(() => abort.abort(new ResponseTimeout()), wait);
  const forgetReturn = onPageReturn((kind) => {
    if (kind === 'online') abort.abort(new TypeError('the network has changed'));
  });
  try {
    return await settings.fetch(url, { ...init, headers, signal: abort.signal });
  } catch (error) {
    forget();
    throw error;
  } finally {
    clearTimeout(late);
    forgetReturn();
  }
}

async function currentHeaders(source: HeadersSource | undefined, refresh: boolean): Promise<Headers> {
  return new Headers(typeof source === 'function' ? await source({ refresh }) : source);
}

/** Aborts the controller when the signal is aborted. Returns a function that removes the link. */
export function linkAbort(signal: AbortSignal, controller: AbortController): () => void {
  const abort = () => controller.abort(signal.reason);
  if (signal.aborted) abort();
  signal.addEventListener('abort', abort, { once: true });
  return () => signal.removeEventListener('abort', abort);
}

export function isPost(init: RequestInit): boolean {
  return (init.method ?? 'GET').toUpperCase() === 'POST';
}

/** Adds a random `Idempotency-Key` to a POST without one. */
function withIdempotencyKey(request: HttpRequest): HttpRequest {
  if (!isPost(request.init)) return request;
  const headers = new Headers(request.init.headers);
  if (!headers.has('idempotency-key')) headers.set('idempotency-key', randomKey());
  return { ...request, init: { ...request.init, headers } };
}

/** `crypto.randomUUID` does not exist on pages that are served over plain HTTP. */
function randomKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

function sizeOf({ body }: RequestInit): number {
  return typeof body === 'string' ? body.length : 0;
}

/** A body that is a stream can be read only once. */
function isRepeatable({ body }: RequestInit): boolean {
  return body === undefined || body === null || typeof body === 'string';
}

/** Whether a proxy responded instead of the API. The API's own refusals are problem documents. */
function isLost(response: Response): boolean {
  const type = response.headers.get('content-type') ?? '';
  return isTransient(response.status) && !type.startsWith('application/problem+json');
}

async function settled(
  promise: Promise<Response>,
): Promise<{ response?: Response; error?: unknown }> {
  try {
    return { response: await promise };
  } catch (error) {
    return { error };
  }
}

function fail(cause: unknown): never {
  throw new ConnectionLostError(cause);
}
