// The network under the SDK: it records what passes and breaks where the scenario says.

import { setTimeout as sleep } from 'node:timers/promises';

export class RecordingFetch {
  requests = [];
  /** For each request the chunks that reached the SDK. */
  chunks = [];
  #cuts;
  #onChunk;
  #closing = new AbortController();

  /** `cuts[n]`: after how many events the stream number n breaks. */
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

  /** Break every connection, and let no other be made. */
  close() {
    this.#closing.abort();
  }

  #note(data, request, chunks) {
    if (data === '[DONE]') {
      request.done = true;
      return;
    }
    chunks.push(JSON.parse(data));
    this.#onChunk();
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
        // A place in the queue is told beside the answer, and when it likes: it counts for nothing.
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
  // An error overtakes what is still under way in the streams above.
  await sleep(10);
  controller.error(networkError());
}

/** What Chromium says; undici's own words would not be taken for a disconnect. */
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
