// A fake server and a fake page for the tests.

export const START = 'id: 1-1@r\ndata: {"type":"start","messageId":"m"}\n\n';
export const DELTA = 'id: 1-2@r\ndata: {"type":"text-delta","id":"t","delta":"é"}\n\n';
export const FINISH = 'id: 1-3@r\ndata: {"type":"finish"}\n\n';
export const DONE = 'id: 1-4@r\ndata: [DONE]\n\n';
export const BREAK = new TypeError('broken');
export const POST = {
  method: 'POST',
  body: JSON.stringify({ id: 'a/b' }),
  headers: { 'content-type': 'application/json', authorization: 'Bearer x' },
};
const TYPE = { 'content-type': 'text/event-stream' };
export const VERIFIED = { 'x-vercel-ai-ui-message-stream': 'v1', 'x-run-id': 'r' };

/** The text of an event. */
export function event(offset, chunk) {
  const data = typeof chunk === 'string' ? chunk : JSON.stringify(chunk);
  return `id: 1-${offset}@r\ndata: ${data}\n\n`;
}

/** A response with these pieces of text. An error breaks the stream. */
export function stream(pieces, headers = {}) {
  const left = [...pieces];
  const body = new ReadableStream({
    pull(controller) {
      const piece = left.shift();
      if (piece === undefined) controller.close();
      else if (piece instanceof Error) controller.error(piece);
      else controller.enqueue(typeof piece === 'string' ? new TextEncoder().encode(piece) : piece);
    },
  });
  return new Response(body, { headers: { ...TYPE, ...headers } });
}

/** A response that stays open after its pieces, and whether it was closed. */
export function openStream(pieces, headers = {}) {
  const state = { closed: false };
  const body = new ReadableStream({
    start(controller) {
      for (const piece of pieces) controller.enqueue(new TextEncoder().encode(piece));
    },
    cancel: () => void (state.closed = true),
  });
  return [new Response(body, { headers: { ...TYPE, ...headers } }), state];
}

export function problem(status, fields = {}, headers = {}) {
  const type = { 'content-type': 'application/problem+json' };
  return new Response(JSON.stringify({ status, ...fields }), { status, headers: { ...type, ...headers } });
}

/** A fetch with these responses, and the requests it received. A function is called with the request. */
export function fakeServer(answers) {
  const left = [...answers];
  const requests = [];
  const fetch = async (url, init) => {
    const headers = Object.fromEntries(new Headers(init.headers));
    const request = { url, method: init.method ?? 'GET', headers, body: init.body };
    requests.push(request);
    const answer = left.shift();
    init.signal?.throwIfAborted();
    if (answer instanceof Error) throw answer;
    return typeof answer === 'function' ? answer(request, init) : answer;
  };
  return { requests, fetch };
}

/** A response that never arrives. */
export function never(_, { signal }) {
  return new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
}

/** A page whose network and visibility the test changes. */
export function fakePage(t, baseURI = 'https://host/app') {
  const document = Object.assign(new EventTarget(), { baseURI, visibilityState: 'visible' });
  const window = new EventTarget();
  const navigator = { onLine: true };
  const originals = {};
  for (const [name, value] of Object.entries({ document, window, navigator })) {
    originals[name] = Object.getOwnPropertyDescriptor(globalThis, name);
    Object.defineProperty(globalThis, name, { value, configurable: true });
  }
  t.after(() => {
    for (const [name, original] of Object.entries(originals)) {
      if (original) Object.defineProperty(globalThis, name, original);
      else delete globalThis[name];
    }
  });
  return {
    show(state) {
      document.visibilityState = state;
      document.dispatchEvent(new Event('visibilitychange'));
    },
    setOnline(online) {
      navigator.onLine = online;
      window.dispatchEvent(new Event(online ? 'online' : 'offline'));
    },
  };
}

/** Lets pending promises and streams continue. */
export async function settle(rounds = 5) {
  for (let round = 0; round < rounds; round++) await new Promise(setImmediate);
}
