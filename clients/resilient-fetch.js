// A `fetch` whose event streams survive dropped connections: it resumes the stream after the last
// complete event, so the AI SDK receives one uninterrupted body.
//
//   new DefaultChatTransport({ api, fetch: resilientFetch() })

const DONE = /^data: ?\[DONE\]/m;
const TERMINAL = /^data: ?(\[DONE\]|\{"type":"(finish|abort|error)"[,}])/m;
/** An event of the answer, not a queue position. */
const ANSWER = /^data:(?! ?\{"type":"data-queue")/m;
const EVENT_END = /\r?\n\r?\n/g;

export function resilientFetch(options = {}) {
  const settings = {
    fetch: (...request) => globalThis.fetch(...request),
    delay: 1000,
    maxDelay: 30_000,
    tries: 10,
    streamUrl,
    ...options,
  };
  return async (input, init = {}) => {
    const abort = linkedAbort(init.signal);
    const response = await settings.fetch(input, { ...init, signal: abort.signal });
    const url = isEventStream(response) && resumeUrl(input, init, response, settings);
    if (!url) return response;
    const run = new Run(resumption(url, init, abort.signal), {
      ...settings,
      releaseHidden: settings.releaseHidden ?? isPlainHttp(url),
    });
    run.lastId = startCursor(init, response);
    return new Response(streamBody(run.events(response), abort), response);
  };
}

/** The URL to resume an answer from. Keeps the query string of `api`. */
export function streamUrl(api, chatId) {
  const [, path, query = ''] = /^([^?#]*)(\?[^#]*)?/.exec(api);
  return `${path.replace(/\/$/, '')}/${encodeURIComponent(chatId)}/stream${query}`;
}

class Run {
  lastId;
  retry;
  terminal = false;
  done = false;
  forwarded = false;
  failures = 0;
  /** Whether the last connection was closed because the page was hidden. */
  released = false;

  constructor(request, settings) {
    this.request = request;
    this.settings = settings;
  }

  /** The complete events of the run, over as many connections as needed. */
  async *events(response) {
    while (response) {
      let drop = new TypeError('network error: the answer ended before it was complete');
      try {
        yield* this.read(response);
      } catch (error) {
        drop = error;
      }
      if (this.released && !this.done) await untilVisible(this.request.signal);
      response = this.done ? undefined : await this.reconnect(drop);
    }
  }

  async *read(response) {
    const reader = response.body.getReader();
    this.released = false;
    const release = () => {
      if (!isHidden() || this.released || !this.resumable) return;
      this.released = true;
      this.failures = 0;
      reader.cancel().catch(() => {});
    };
    const { document } = globalThis;
    if (this.settings.releaseHidden) document?.addEventListener('visibilitychange', release);
    try {
      if (this.settings.releaseHidden) release();
      for await (const events of completeEvents(reader)) {
        this.record(events);
        yield events;
      }
    } finally {
      document?.removeEventListener('visibilitychange', release);
    }
  }

  record(events) {
    this.lastId = lastOf(events, /^id: ?(.*?)\r?$/gm) ?? this.lastId;
    this.retry = lastOf(events, /^retry: ?(\d+)\r?$/gm) ?? this.retry;
    this.terminal ||= TERMINAL.test(events);
    this.done ||= DONE.test(events);
    if (!/^data:/m.test(events)) return;
    this.forwarded ||= ANSWER.test(events);
    this.failures = 0;
  }

  /** The next connection, or undefined if the answer is complete. Throws if it cannot resume. */
  async reconnect(drop) {
    const { signal } = this.request;
    while (this.resumable && !signal.aborted && this.failures < this.settings.tries) {
      await pause(this.released ? 0 : this.backoff(), signal);
      this.released = false;
      this.failures += 1;
      const response = await this.connect();
      if (response?.status === 204 && this.terminal) return undefined;
      if (response?.status === 204) throw drop;
      if (response && isEventStream(response)) return response;
      if (response && isFinal(response)) throw new Error((await response.text()) || drop.message);
      await response?.body?.cancel();
    }
    throw signal.aborted ? signal.reason : drop;
  }

  /** Without an id, the server would repeat events that were already forwarded. */
  get resumable() {
    return this.lastId !== undefined || !this.forwarded;
  }

  /** Milliseconds, with full jitter, so that clients do not reconnect all at once. */
  backoff() {
    const base = Number(this.retry ?? this.settings.delay);
    return Math.random() * Math.min(this.settings.maxDelay, base * 2 ** this.failures);
  }

  async connect() {
    const { url, headers, ...init } = this.request;
    const fresh = new Headers(await this.settings.headers?.());
    for (const [name, value] of fresh) headers.set(name, value);
    if (this.lastId !== undefined) headers.set('last-event-id', this.lastId);
    this.settings.onReconnect?.({ attempt: this.failures, lastEventId: this.lastId });
    return this.settings.fetch(url, { ...init, headers }).catch(() => {});
  }
}

/** The cursor before the first event of this run. A replay would repeat earlier message parts. */
function startCursor(init, response) {
  const runId = isPost(init) && response.headers.get('x-run-id');
  return runId ? `0-0@${runId}` : undefined;
}

/** The text from the reader of a body, in pieces that end at the end of an event. */
async function* completeEvents(reader) {
  const decoder = new TextDecoder();
  let text = '';
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    text += decoder.decode(value, { stream: true });
    const end = [...text.matchAll(EVENT_END)].at(-1);
    if (!end) continue;
    const cut = end.index + end[0].length;
    yield text.slice(0, cut);
    text = text.slice(cut);
  }
}

function streamBody(events, abort) {
  const encoder = new TextEncoder();
  const source = {
    async pull(controller) {
      const { done, value } = await events.next();
      if (done) controller.close();
      else controller.enqueue(encoder.encode(value));
    },
    cancel: (reason) => abort.abort(reason),
  };
  return new ReadableStream(source, { highWaterMark: 0 });
}

/** Aborts with the caller's signal, and when the body is cancelled. */
function linkedAbort(signal) {
  const abort = new AbortController();
  if (signal?.aborted) abort.abort(signal.reason);
  signal?.addEventListener('abort', () => abort.abort(signal.reason), { once: true });
  return abort;
}

function resumption(url, init, signal) {
  const { body, ...rest } = init;
  const headers = new Headers(init.headers);
  headers.delete('content-type');
  headers.delete('content-length');
  return { ...rest, url, method: 'GET', headers, signal };
}

function resumeUrl(input, init, response, settings) {
  if (!isPost(init)) return String(input);
  const chatId = chatIdOf(init.body) ?? response.headers.get('x-chat-id');
  return chatId && settings.streamUrl(String(input), chatId);
}

function isPost(init) {
  return (init.method ?? 'GET').toUpperCase() === 'POST';
}

function chatIdOf(body) {
  try {
    return JSON.parse(body).id;
  } catch {
    return undefined;
  }
}

/** Browsers use HTTP/1.1 for `http:`, and open only six connections to a host. */
function isPlainHttp(url) {
  const base = globalThis.document?.baseURI;
  return base !== undefined && new URL(url, base).protocol === 'http:';
}

function isHidden() {
  return globalThis.document?.visibilityState === 'hidden';
}

function untilVisible(signal) {
  return new Promise((resolve, reject) => {
    const check = () => {
      if (isHidden() && !signal.aborted) return;
      document.removeEventListener('visibilitychange', check);
      signal.removeEventListener('abort', check);
      if (signal.aborted) reject(signal.reason);
      else resolve();
    };
    document.addEventListener('visibilitychange', check);
    signal.addEventListener('abort', check);
    check();
  });
}

function isEventStream(response) {
  const type = response.headers.get('content-type') ?? '';
  return response.ok && response.body && type.startsWith('text/event-stream');
}

function isFinal({ status }) {
  return status >= 400 && status < 500 && status !== 408 && status !== 429;
}

function lastOf(text, pattern) {
  return [...text.matchAll(pattern)].at(-1)?.[1];
}

function pause(ms, signal) {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal.removeEventListener('abort', stop);
      resolve();
    }, ms);
    signal.addEventListener('abort', stop, { once: true });
  });
}
