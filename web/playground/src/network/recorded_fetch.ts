/** A `fetch` that records the events of answers, and whose connections can be broken on purpose. */

import type { StreamChunk } from '@mamba-server/client';
import type { RecordedEvent } from './run_recording';
import type { Timeline } from './timeline';

const STREAM = /\/chat\/([^/?]+)\/stream/;

interface OpenStream {
  chatId: string;
  abort: AbortController;
  /** Aborted if the page closes the connection. */
  signal: AbortSignal | null | undefined;
}

export class RecordedNetwork {
  readonly #timeline: Timeline;
  readonly #streams = new Set<OpenStream>();
  #offline = false;

  constructor(timeline: Timeline) {
    this.#timeline = timeline;
  }

  readonly fetch: typeof fetch = async (input, init = {}) => {
    if (this.#offline) throw new TypeError('The browser is offline.');
    const url = String(input);
    const chatId = chatIdOf(url, init);
    const abort = new AbortController();
    init.signal?.addEventListener('abort', () => abort.abort(init.signal?.reason));
    if (init.signal?.aborted) abort.abort(init.signal.reason);
    const response = await fetch(url, { ...init, signal: abort.signal });
    const runId = response.headers.get('x-run-id');
    const isStream = response.headers.get('content-type')?.startsWith('text/event-stream');
    if (!chatId || !runId || !isStream || !response.body) return response;
    const cursor = new Headers(init.headers).get('last-event-id') ?? undefined;
    const body = init.method === 'POST' && typeof init.body === 'string' ? init.body : undefined;
    this.#timeline.opened(chatId, runId, { body, cursor });
    return this.#record(response, response.body, { chatId, abort, signal: init.signal }, runId);
  };

  /** Closes the connections of the answers. */
  cut(): void {
    for (const { abort } of this.#streams) abort.abort(new TypeError('The connection was cut.'));
  }

  /** Behaves like a browser without a network for some time. */
  goOffline(milliseconds: number): void {
    if (this.#offline) return;
    this.#setOffline(true);
    this.cut();
    setTimeout(() => this.#setOffline(false), milliseconds);
  }

  #setOffline(offline: boolean): void {
    this.#offline = offline;
    Object.defineProperty(navigator, 'onLine', { configurable: true, get: () => !this.#offline });
    dispatchEvent(new Event(offline ? 'offline' : 'online'));
  }

  #record(response: Response, body: ReadableStream<Uint8Array>, stream: OpenStream, runId: string): Response {
    const reader = body.getReader();
    const parser = new EventParser((event) => this.#timeline.event(stream.chatId, event));
    const end = () => this.#streams.delete(stream);
    const lose = () => {
      if (!parser.done && !stream.signal?.aborted) this.#timeline.add(stream.chatId, 'lost', 'The connection broke.', runId);
      end();
    };
    this.#streams.add(stream);
    const source: UnderlyingDefaultSource<Uint8Array> = {
      async pull(controller) {
        try {
          const { done, value } = await reader.read();
          if (!done) {
            parser.feed(value);
            return controller.enqueue(value);
          }
          lose();
          controller.close();
        } catch (error) {
          lose();
          controller.error(error);
        }
      },
      async cancel(reason) {
        end();
        await reader.cancel(reason);
      },
    };
    // Without a buffer: an error would discard events that are already recorded.
    const recorded = new ReadableStream(source, { highWaterMark: 0 });
    const { status, statusText, headers } = response;
    return new Response(recorded, { status, statusText, headers });
  }
}

/** Reads the ids and chunks of server-sent events. */
class EventParser {
  done = false;
  readonly #onEvent: (event: RecordedEvent) => void;
  readonly #decoder = new TextDecoder();
  #rest = '';

  constructor(onEvent: (event: RecordedEvent) => void) {
    this.#onEvent = onEvent;
  }

  feed(bytes: Uint8Array): void {
    const events = (this.#rest + this.#decoder.decode(bytes, { stream: true })).split('\n\n');
    this.#rest = events.pop() ?? '';
    for (const event of events) this.#read(event);
  }

  #read(event: string): void {
    const lines = event.split('\n');
    const field = (start: string) => lines.find((line) => line.startsWith(start))?.slice(start.length);
    const [id, data, from] = [field('id: '), field('data: '), field(': from ')];
    if (data === '[DONE]') this.done = true;
    else if (id && data) this.#onEvent({ id, from: from ? Number(from) : undefined, chunk: JSON.parse(data) as StreamChunk });
  }
}

function chatIdOf(url: string, { method, body }: RequestInit): string | undefined {
  const [, encoded] = STREAM.exec(url) ?? [];
  if (encoded) return decodeURIComponent(encoded);
  if (method !== 'POST' || typeof body !== 'string') return undefined;
  return (JSON.parse(body) as { id?: string }).id;
}
