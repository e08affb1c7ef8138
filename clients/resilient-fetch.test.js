import assert from 'node:assert/strict';
import { test } from 'node:test';
import { resilientFetch, streamUrl } from './resilient-fetch.js';

const START = 'id: 1-0@r\ndata: {"type":"start"}\n\n';
const DELTA = 'id: 2-0@r\ndata: {"type":"text-delta","id":"t","delta":"é"}\n\n';
const FINISH = 'id: 3-0@r\ndata: {"type":"finish"}\n\n';
const DONE = 'id: 4-0@r\ndata: [DONE]\n\n';
const BREAK = new TypeError('broken');
const POST = {
  method: 'POST',
  body: JSON.stringify({ id: 'a/b' }),
  headers: { 'content-type': 'application/json', authorization: 'Bearer x' },
};

/** A response with these pieces of text. An error breaks the stream. */
function stream(pieces, headers = {}) {
  const left = [...pieces];
  const body = new ReadableStream({
    pull(controller) {
      const piece = left.shift();
      if (piece === undefined) controller.close();
      else if (piece instanceof Error) controller.error(piece);
      else controller.enqueue(typeof piece === 'string' ? new TextEncoder().encode(piece) : piece);
    },
  });
  return new Response(body, { headers: { 'content-type': 'text/event-stream', ...headers } });
}

/** The wrapped fetch over a fake server with these responses, and the requests it received. */
function over(answers, options = {}) {
  const left = [...answers];
  const requests = [];
  const fetch = async (url, init) => {
    const headers = Object.fromEntries(new Headers(init.headers));
    requests.push({ url, method: init.method, headers });
    const answer = left.shift();
    if (answer instanceof Error) throw answer;
    return answer;
  };
  return { requests, fetch: resilientFetch({ fetch, delay: 1, ...options }) };
}

async function text(fetch, init = POST) {
  const response = await fetch('/chat', init);
  return response.text();
}

test('resumes a dropped queue wait from the start', async () => {
  const position = 'data: {"type":"data-queue","data":{"position":1,"waiting":1}}\n\n';
  const { fetch, requests } = over([stream([position, BREAK]), stream([START, FINISH, DONE])]);
  assert.equal(await text(fetch), position + START + FINISH + DONE);
  assert.equal(requests[1].headers['last-event-id'], undefined);
});

test('resumes after the last complete event', async () => {
  const { fetch, requests } = over([
    stream([START + DELTA.slice(0, 20), BREAK]),
    stream([DELTA, FINISH, DONE]),
  ]);
  assert.equal(await text(fetch), START + DELTA + FINISH + DONE);
  assert.deepEqual(requests[1], {
    url: '/chat/a%2Fb/stream',
    method: 'GET',
    headers: { authorization: 'Bearer x', 'last-event-id': '1-0@r' },
  });
});

test('treats an end without [DONE] as a drop', async () => {
  const { fetch } = over([stream([START]), stream([]), stream([DELTA, DONE])]);
  assert.equal(await text(fetch), START + DELTA + DONE);
});

test('ignores a drop after [DONE]', async () => {
  const { fetch, requests } = over([stream([START, DONE, BREAK])]);
  assert.equal(await text(fetch), START + DONE);
  assert.equal(requests.length, 1);
});

test('decodes a character split between two reads', async () => {
  const bytes = new TextEncoder().encode(DELTA);
  const middle = bytes.indexOf(0xc3) + 1;
  const { fetch } = over([stream([bytes.slice(0, middle), bytes.slice(middle), DONE])]);
  assert.equal(await text(fetch), DELTA + DONE);
});

test('resumes an answer without any event from its beginning', async () => {
  const { fetch, requests } = over([stream([BREAK], { 'x-run-id': 'r' }), stream([START, DONE])]);
  assert.equal(await text(fetch), START + DONE);
  assert.equal(requests[1].headers['last-event-id'], '0-0@r');
});

test('takes the chat id from the response if the body has none', async () => {
  const { fetch, requests } = over([stream([BREAK], { 'x-chat-id': 'c1' }), stream([DONE])]);
  await text(fetch, { ...POST, body: '{"messages":[]}' });
  assert.equal(requests[1].url, '/chat/c1/stream');
});

test('resumes a GET at its own address', async () => {
  const { fetch, requests } = over([stream([START, BREAK]), stream([DONE])]);
  const response = await fetch('/chat/c1/stream');
  assert.equal(await response.text(), START + DONE);
  assert.equal(requests[1].url, '/chat/c1/stream');
});

test('passes other responses through', async () => {
  const answer = Response.json({ ok: true });
  const { fetch } = over([answer]);
  assert.equal(await fetch('/chat', POST), answer);
});

test('204 ends a finished answer', async () => {
  const { fetch } = over([stream([START, FINISH, BREAK]), new Response(null, { status: 204 })]);
  assert.equal(await text(fetch), START + FINISH);
});

test('204 reports the drop of an unfinished answer', async () => {
  const { fetch } = over([stream([START, BREAK]), new Response(null, { status: 204 })]);
  await assert.rejects(text(fetch), BREAK);
});

test('reports the text of a refusal', async () => {
  const { fetch } = over([stream([START, BREAK]), new Response('token expired', { status: 401 })]);
  await assert.rejects(text(fetch), /token expired/);
});

test('sends credentials again, and replaces them by fresh ones', async () => {
  const answers = () => [stream([START, BREAK]), stream([DELTA, BREAK]), stream([DONE])];
  const key = { ...POST, headers: new Headers({ 'x-api-key': 'k', authorization: 'Bearer x' }) };
  const kept = over(answers());
  await text(kept.fetch, key);
  assert.deepEqual(
    kept.requests.map(({ headers }) => [headers['x-api-key'], headers.authorization]),
    Array(3).fill(['k', 'Bearer x']),
  );

  let number = 0;
  const fresh = over(answers(), { headers: async () => ({ authorization: `Bearer ${++number}` }) });
  await text(fresh.fetch, key);
  assert.deepEqual(
    fresh.requests.map(({ headers }) => [headers['x-api-key'], headers.authorization]),
    [['k', 'Bearer x'], ['k', 'Bearer 1'], ['k', 'Bearer 2']],
  );
});

test('limits attempts, and resets the count after each event', async () => {
  const away = () => new Response('', { status: 503 });
  const [first, second] = [stream([START, BREAK]), stream([DELTA, BREAK])];
  const answers = [first, BREAK, away(), second, away(), away(), away()];
  const { fetch, requests } = over(answers, { tries: 3 });
  await assert.rejects(text(fetch), BREAK);
  assert.equal(requests.length, answers.length);
});

test('does not resume events without ids', async () => {
  const { fetch, requests } = over([stream(['data: {"type":"start"}\n\n', BREAK])]);
  await assert.rejects(text(fetch), BREAK);
  assert.equal(requests.length, 1);
});

test('backs off exponentially from the retry delay of the server', async (t) => {
  const waits = [];
  t.mock.method(Math, 'random', () => 1);
  t.mock.method(globalThis, 'setTimeout', (then, ms) => {
    waits.push(ms);
    queueMicrotask(then);
  });
  const { fetch } = over(
    [stream(['retry: 300\n\n', START, BREAK]), BREAK, BREAK, BREAK, stream([DONE])],
    { maxDelay: 1000 },
  );
  await text(fetch);
  assert.deepEqual(waits, [300, 600, 1000, 1000]);
});

test('aborts while waiting', async () => {
  const abort = new AbortController();
  const { fetch, requests } = over([stream([START, BREAK])], { delay: 60_000, maxDelay: 60_000 });
  const reading = text(fetch, { ...POST, signal: abort.signal });
  setTimeout(() => abort.abort(), 20);
  await assert.rejects(reading, { name: 'AbortError' });
  assert.equal(requests.length, 1);
});

/** A page whose visibility the test changes. */
function page(t, baseURI = 'http://host/app') {
  const document = new EventTarget();
  Object.assign(document, { baseURI, visibilityState: 'visible' });
  globalThis.document = document;
  t.after(() => delete globalThis.document);
  return (state) => {
    document.visibilityState = state;
    document.dispatchEvent(new Event('visibilitychange'));
  };
}

/** A response that stays open after its pieces, and whether it was closed. */
function openStream(pieces, headers) {
  const state = { closed: false };
  const body = new ReadableStream({
    start(controller) {
      for (const piece of pieces) controller.enqueue(new TextEncoder().encode(piece));
    },
    cancel: () => void (state.closed = true),
  });
  const type = { 'content-type': 'text/event-stream', ...headers };
  return [new Response(body, { headers: type }), state];
}

test('a hidden page closes its connection and resumes when it is visible', async (t) => {
  const show = page(t);
  const [first, state] = openStream([START], { 'x-run-id': 'r' });
  const { fetch, requests } = over([first, stream([DELTA, DONE])], { delay: 60_000 });
  const reader = (await fetch('/chat', POST)).body.getReader();
  await reader.read();
  const next = reader.read();
  show('hidden');
  await new Promise(setImmediate);
  assert.equal(state.closed, true);
  assert.equal(requests.length, 1);
  show('visible');
  assert.equal(new TextDecoder().decode((await next).value), DELTA);
  assert.equal(requests[1].headers['last-event-id'], '1-0@r');
});

test('a page that is hidden from the start resumes from the first event', async (t) => {
  const show = page(t);
  show('hidden');
  const [first, state] = openStream([], { 'x-run-id': 'r' });
  const { fetch, requests } = over([first, stream([START, DONE])]);
  const reading = text(fetch);
  await new Promise(setImmediate);
  assert.equal(state.closed, true);
  show('visible');
  assert.equal(await reading, START + DONE);
  assert.equal(requests[1].headers['last-event-id'], '0-0@r');
});

test('a hidden page can be aborted', async (t) => {
  const show = page(t);
  const abort = new AbortController();
  const [first] = openStream([START], { 'x-run-id': 'r' });
  const { fetch, requests } = over([first]);
  const reading = text(fetch, { ...POST, signal: abort.signal });
  await new Promise(setImmediate);
  show('hidden');
  await new Promise(setImmediate);
  abort.abort();
  await assert.rejects(reading, { name: 'AbortError' });
  assert.equal(requests.length, 1);
});

for (const [name, url, options] of [
  ['over https', 'https://host/chat', {}],
  ['if the option is off', 'http://host/chat', { releaseHidden: false }],
]) {
  test(`a hidden page keeps its connection ${name}`, async (t) => {
    const show = page(t);
    const [first, state] = openStream([START, DONE], { 'x-run-id': 'r' });
    const { fetch } = over([first], options);
    const reader = (await fetch(url, POST)).body.getReader();
    show('hidden');
    await new Promise(setImmediate);
    assert.equal(state.closed, false);
    assert.equal(new TextDecoder().decode((await reader.read()).value), START);
  });
}

test('streamUrl keeps the query string', () => {
  const url = streamUrl('https://host/chat/?tenant=1', 'ä b');
  assert.equal(url, 'https://host/chat/%C3%A4%20b/stream?tenant=1');
});
