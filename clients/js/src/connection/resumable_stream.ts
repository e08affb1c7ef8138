import type { Connection, ReportConnection } from './connection.js';
import { ConnectionWatch } from './connection_watch.js';
import {
  ConnectionLostError, IncompleteAnswerError, isTransient, type MambaError, ProblemError, retryAfterOf,
} from '../errors.js';
import { StreamCheck, TERMINAL } from '../integrity/stream_check.js';
import { isOffline, untilVisible } from './page_events.js';
import { ReconnectPolicy } from './reconnect_policy.js';
import { linkAbort, ResponseTimeout, sendOnce, type HttpRequest } from './request.js';
import type { ConnectionSettings } from '../settings.js';
import { parseSse, type SseEvent } from './sse_parser.js';
import type { QueuePosition, StreamChunk } from '../types.js';

/** An event with its parsed data. */
export interface AnswerEvent extends SseEvent {
  /** Undefined for comments and `[DONE]`. */
  chunk: StreamChunk | undefined;
}

export interface StreamOrigin {
  /** Requests the rest of the answer. */
  request: HttpRequest;
  /** The id of the event before the first one. */
  cursor: string | undefined;
  /** Whether the stream replays the message's earlier runs. */
  isReplay: boolean;
  releaseHidden: boolean;
  report: ReportConnection;
}

const LIVE: Connection = { state: 'live' };
const DONE = '[DONE]';
/** The server responds to a resume at once. A browser may send it over another broken connection. */
const FIRST_LIMIT_MS = 2000;
/** The same after a connection that ended without an error: the browser's other connections are probably broken too. */
const FIRST_LIMIT_AFTER_SILENCE_MS = 200;
/** The first attempts follow each other without a pause if the browser probably sent them over broken connections. */
const ATTEMPTS_WITHOUT_PAUSE = 3;

/** The events of one answer, over as many connections as needed. */
export class ResumableStream {
  readonly #origin: StreamOrigin;
  readonly #settings: ConnectionSettings;
  readonly #policy: ReconnectPolicy;
  #check: StreamCheck | undefined;
  #cursor: string | undefined;
  /** Separates the previous connection from the signal of the request. */
  #unlink = () => {};
  #terminal = false;
  #done = false;
  /** Whether an event of the answer was forwarded that has no id. */
  #unresumable = false;

  constructor(origin: StreamOrigin, settings: ConnectionSettings) {
    this.#origin = origin;
    this.#settings = settings;
    this.#cursor = origin.cursor;
    this.#policy = new ReconnectPolicy(settings, settings.maxDowntime);
  }

  /** Yields the events that each read completes. Throws if the answer cannot be completed. */
  async *events(first: Response): AsyncGenerator<AnswerEvent[]> {
    let response: Response | undefined = first;
    if (this.#settings.verify && response.headers.has('x-vercel-ai-ui-message-stream')) {
      this.#check = new StreamCheck(this.#origin.cursor, this.#origin.isReplay);
    }
    while (response) {
      const { body } = response;
      const drop: Drop = { pause: true, broken: true, error: new TypeError('the body ended early') };
      try {
        yield* this.#read(body!.getReader(), drop);
      } catch (error) {
        if (!drop.broken) throw error;
        drop.error = error;
      }
      response = this.#done ? undefined : await this.#reconnect(drop);
    }
  }

  async *#read(reader: ReadableStreamDefaultReader<Uint8Array>, drop: Drop): AsyncGenerator<AnswerEvent[]> {
    const { releaseHidden, report, request } = this.#origin;
    const cancel = () => void reader.cancel().catch(() => {});
    request.signal.addEventListener('abort', cancel);
    report(LIVE);
    const watch = new ConnectionWatch(cancel, { maxSilence: this.#settings.maxSilence, releaseHidden });
    try {
      for await (const events of parseSse(reader)) {
        watch.received();
        if (!events.length) continue;
        watch.pause();
        drop.broken = false;
        yield this.#accept(events);
        if (this.#done) return;
        drop.broken = true;
        watch.received();
      }
    } finally {
      cancel();
      request.signal.removeEventListener('abort', cancel);
      watch.close();
      drop.pause = watch.reason === undefined;
      drop.hidden = watch.reason === 'hidden';
    }
  }

  /** Parses and checks the events, and remembers where to continue. */
  #accept(events: SseEvent[]): AnswerEvent[] {
    return events.map((event) => {
      const chunk = parseChunk(event);
      this.#check?.accept(event, chunk);
      this.#cursor = event.id ?? this.#cursor;
      this.#policy.serverDelay = event.retry ?? this.#policy.serverDelay;
      this.#done ||= event.data === DONE;
      if (chunk) this.#note(chunk);
      if (event.data !== undefined) this.#policy.reset();
      return { ...event, chunk };
    });
  }

  #note(chunk: StreamChunk): void {
    const { report } = this.#origin;
    this.#terminal ||= TERMINAL.includes(chunk.type);
    if (chunk.type === 'data-queue') return report({ state: 'queued', ...(chunk.data as QueuePosition) });
    this.#unresumable ||= this.#cursor === undefined;
    report(LIVE);
  }

  /** Returns the next connection, or undefined if the answer is complete. */
  async #reconnect(drop: Drop): Promise<Response | undefined> {
    const { signal } = this.#origin.request;
    let minimum = 0;
    const firstLimit = drop.pause || drop.hidden ? FIRST_LIMIT_MS : FIRST_LIMIT_AFTER_SILENCE_MS;
    if (drop.hidden) await untilVisible(signal);
    for (;;) {
      if (signal.aborted) throw signal.reason;
      if (this.#unresumable) throw new IncompleteAnswerError(drop.error);
      this.#report();
      if (drop.pause) await this.#policy.wait(signal, minimum);
      this.#policy.begin();
      this.#report();
      const response = await this.#connect(drop, firstLimit);
      const isLate = response === undefined && drop.error instanceof ResponseTimeout;
      drop.pause ||= !isLate || this.#policy.attempt >= ATTEMPTS_WITHOUT_PAUSE;
      if (response?.status === 204) return this.#endAt204(drop);
      if (response && isEventStream(response)) return response;
      if (response && !isTransient(response.status)) throw await refusal(response);
      minimum = 1000 * ((response && retryAfterOf(response)) ?? 0);
      await response?.body?.cancel();
      this.#policy.fail();
      if (this.#policy.expired) throw new ConnectionLostError(drop.error);
    }
  }

  /** The server has nothing after the cursor. */
  #endAt204(drop: Drop): undefined {
    if (!this.#terminal) throw new IncompleteAnswerError(drop.error);
  }

  #report(): void {
    this.#origin.report({ state: 'retrying', attempt: this.#policy.attempt, offline: isOffline() });
  }

  async #connect(drop: Drop, firstLimit: number): Promise<Response | undefined> {
    const { request } = this.#origin;
    const connection = new AbortController();
    this.#unlink();
    this.#unlink = linkAbort(request.signal, connection);
    const { signal } = connection;
    const limit = Math.min(this.#settings.maxSilence, firstLimit * 2 ** (this.#policy.attempt - 1));
    const headers = new Headers(request.init.headers);
    if (this.#cursor !== undefined) headers.set('last-event-id', this.#cursor);
    try {
      return await sendOnce({ ...request, signal, limit, init: { ...request.init, headers } }, this.#settings);
    } catch (error) {
      drop.error = error;
      return undefined;
    }
  }
}

/** How a connection ended. */
interface Drop {
  error: unknown;
  /** Whether to wait before the next attempt. */
  pause: boolean;
  /** Whether the page closed the connection because it is hidden. */
  hidden?: boolean;
  /** False while the consumer of the events or a check runs, whose errors are final. */
  broken: boolean;
}

export function isEventStream(response: Response): boolean {
  const type = response.headers.get('content-type') ?? '';
  return response.ok && response.body !== null && type.startsWith('text/event-stream');
}

/** 410: the server no longer has the events after the cursor. */
async function refusal(response: Response): Promise<MambaError> {
  const problem = await ProblemError.from(response);
  return problem.status === 410 ? new IncompleteAnswerError(problem) : problem;
}

function parseChunk({ data }: SseEvent): StreamChunk | undefined {
  return data === undefined || data === DONE ? undefined : (JSON.parse(data) as StreamChunk);
}
