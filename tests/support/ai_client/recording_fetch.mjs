// A fetch that records requests and chunks and breaks streams as the scenario defines.

import { setTimeout as sleep } from 'node:timers/promises';

export class RecordingFetch {
  requests = [];
  /** The chunks that reached the SDK, per request. */
  chunks = [];
  #cuts;
  #onChunk;
  #closing = new AbortController();

  /** `cuts[n]` is the number of events after which stream n breaks. */
  constructor(cuts, onChunk) {
    this.#cuts = [...cuts];
    this.#onChunk = onChunk;
  }

  fetch = async (url, init = {}) => {
    const request = recorded(url, init);
    const chunks = [];
    this.requests.push(request);
    this.chunks.push(chunks);
    const life = new AbortController();
    const signals = [life.signal, this.#closing.signal, init.signal].filter(Boolean);
    const response = await fetch(url, { ...init, signal: AbortSignal.any(signals) });
    request.status = response.status;
    if (!response.headers.get('content-type')?.startsWith('text/event-stream')) return response;
    const note = (data) => this.#note(data, request, chunks);
    const tap = tapped(response.body, { cut: this.#cuts.shift(), life, signal: init.signal, note });
    return new Response(tap, response);
  };

  get closed() {
    return this.#closing.signal.aborted;
  }

  /** Break all connections and reject new ones. */
  close() {
    this.#closing.abort();
  }

  #note(data, request, chunks) {
    if (data === '[DONE]') {
      request.done = true;
      return;
    }
    const chunk = JSON.parse(data);
    chunks.push(chunk);
    this.#onChunk(chunk);
  }
}

function recorded(url, init) {
  return {
    method: init.method ?? 'GET',
    url: String(url),
    body: init.body ? JSON.parse(init.body) : null,
    headers: Object.fromEntries(new Headers(init.headers)),
    status: null,
    done: false,
  };
}

function tapped(body, { cut, life, signal, note }) {
  const events = eventsOf(body);
  const encoder = new TextEncoder();
  let count = 0;

  const source = {
    async pull(controller) {
      if (count === cut) return breakOff(controller, life);
      try {
        const { done, value } = await events.next();
        if (done) return controller.close();
        // Queue positions arrive at any time and are not part of the answer, so they do not count.
        for (const [, data] of value.matchAll(/^data: ?(?!\{"type":"data-queue")(\S.*)$/gm)) {
          note(data);
          count += 1;
        }
        controller.enqueue(encoder.encode(value));
      } catch (error) {
        controller.error(signal?.aborted ? error : networkError());
      }
    },
    cancel: (reason) => life.abort(reason),
  };
  return new ReadableStream(source, { highWaterMark: 0 });
}

async function breakOff(controller, life) {
  life.abort();
  // An error overtakes chunks that are still queued in the streams above.
  await sleep(10);
  controller.error(networkError());
}

/** Chromium's error; the SDK does not treat undici's error as a disconnect. */
function networkError() {
  return new TypeError('network error');
}

async function* eventsOf(body) {
  let text = '';
  for await (const piece of body.pipeThrough(new TextDecoderStream())) {
    const events = (text + piece).split('\n\n');
    text = events.pop();
    for (const event of events) yield `${event}\n\n`;
  }
  if (text) yield text;
}
