import { IDLE, type Connection, type ReportConnection } from './connection.js';
import { isPost, send, type HttpRequest } from './request.js';
import { isEventStream, ResumableStream, type AnswerEvent } from './resumable_stream.js';
import type { ConnectionSettings } from '../settings.js';

export interface OpenedStream {
  response: Response;
  /** Undefined if the response is not an event stream that can be resumed. */
  events: AsyncGenerator<AnswerEvent[]> | undefined;
}

/** Sends a request. If the response is an event stream, its events survive dropped connections. */
export async function openStream(
  request: HttpRequest,
  settings: ConnectionSettings,
  onConnection: ReportConnection,
): Promise<OpenedStream> {
  const report = onChange(onConnection);
  const response = await send(request, settings, report).catch((error: unknown) => {
    report(IDLE);
    throw error;
  });
  const url = isEventStream(response) ? resumeUrl(request, response, settings) : undefined;
  if (url === undefined) {
    report(IDLE);
    return { response, events: undefined };
  }
  const origin = {
    request: resumption(request, url),
    cursor: startCursor(request, response),
    isReplay: !isPost(request.init),
    releaseHidden: settings.releaseHidden ?? isPlainHttp(url),
    report,
  };
  const stream = new ResumableStream(origin, settings);
  return { response, events: reportEnd(stream.events(response), report) };
}

async function* reportEnd(
  events: AsyncGenerator<AnswerEvent[]>,
  report: ReportConnection,
): AsyncGenerator<AnswerEvent[]> {
  try {
    yield* events;
  } finally {
    report(IDLE);
  }
}

/** Reports a connection only if it is another one. */
function onChange(report: ReportConnection): ReportConnection {
  let last: Connection | undefined;
  return (connection) => {
    if (connection !== last) report(connection);
    last = connection;
  };
}

export function chatIdOf(body: unknown): string | undefined {
  try {
    const { id } = JSON.parse(body as string) as { id?: unknown };
    return typeof id === 'string' ? id : undefined;
  } catch {
    return undefined;
  }
}

/** The cursor before the first event of the run. A replay would repeat earlier message parts. */
function startCursor({ init }: HttpRequest, response: Response): string | undefined {
  const runId = response.headers.get('x-run-id');
  if (isPost(init)) return runId ? `0-0@${runId}` : undefined;
  return new Headers(init.headers).get('last-event-id') ?? undefined;
}

function resumption({ init, signal }: HttpRequest, url: string): HttpRequest {
  const { body: _, ...rest } = init;
  const headers = new Headers(init.headers);
  for (const name of ['content-type', 'content-length', 'idempotency-key']) headers.delete(name);
  return { url, init: { ...rest, method: 'GET', headers }, signal };
}

function resumeUrl({ url, init, resumeUrl = url }: HttpRequest, response: Response, settings: ConnectionSettings): string | undefined {
  if (!isPost(init)) return resumeUrl;
  const encoded = response.headers.get('x-chat-id');
  const chatId = chatIdOf(init.body) ?? (encoded ? decodeURIComponent(encoded) : undefined);
  return chatId && settings.streamUrl(url, chatId);
}

/** Browsers use HTTP/1.1 for `http:`, and open only six connections to a host. */
function isPlainHttp(url: string): boolean {
  const base = globalThis.document?.baseURI;
  return base !== undefined && new URL(url, base).protocol === 'http:';
}
