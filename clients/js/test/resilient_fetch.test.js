import assert from 'node:assert/strict';
import { test } from 'node:test';
import { resilientFetch, streamUrl } from '../dist/index.js';
import {
  BREAK, DELTA, DONE, event, FINISH, fakePage, fakeServer, never, openStream, POST, problem, settle, START, stream,
  VERIFIED,
} from './support.js';

/** The wrapped fetch over a fake server with these responses, and the requests it received. */
function over(answers, options = {}) {
  const { requests, fetch } = fakeServer(answers);
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
    headers: { authorization: 'Bearer x', 'last-event-id': '1-1@r' },
    body: undefined,
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

test('ends at [DONE] and closes a connection that stays open', async () => {
  const [halfOpen, state] = openStream([START, FINISH, DONE]);
  const { fetch, requests } = over([halfOpen]);
  assert.equal(await text(fetch), START + FINISH + DONE);
  assert.equal(state.closed, true);
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
  await assert.rejects(text(fetch), { name: 'IncompleteAnswerError', cause: BREAK });
});

for (const code of ['cursor_expired', 'cursor_lost']) {
  test(`${code} is the end of an incomplete answer`, async () => {
    const { fetch } = over([stream([START, BREAK]), problem(410, { code })]);
    await assert.rejects(text(fetch), ({ name, cause }) => {
      assert.deepEqual([name, cause.name, cause.code], ['IncompleteAnswerError', 'ProblemError', code]);
      return true;
    });
  });
}

test('reports a refusal as a problem', async () => {
  const refused = problem(403, { code: 'forbidden', detail: 'Missing scope', request_id: 'req_1' });
  const { fetch } = over([stream([START, BREAK]), refused]);
  await assert.rejects(text(fetch), {
    ...{ name: 'ProblemError', message: 'Missing scope', code: 'forbidden', status: 403, requestId: 'req_1' },
  });
});

test('asks for headers before each request', async () => {
  let number = 0;
  const { fetch, requests } = over([stream([START, BREAK]), stream([DELTA, BREAK]), stream([DONE])], {
    headers: async ({ refresh }) => ({ authorization: `Bearer ${++number} ${refresh}` }),
  });
  await text(fetch, { ...POST, headers: new Headers({ 'x-api-key': 'k', authorization: 'Bearer x' }) });
  assert.deepEqual(
    requests.map(({ headers }) => [headers['x-api-key'], headers.authorization]),
    [['k', 'Bearer 1 false'], ['k', 'Bearer 2 false'], ['k', 'Bearer 3 false']],
  );
});

test('asks for headers once more after a 401', async () => {
  const refused = () => problem(401, { detail: 'expired' });
  const answers = [refused(), stream([START, BREAK]), refused(), stream([DELTA, BREAK]), refused(), refused()];
  const { fetch, requests } = over(answers, { headers: ({ refresh }) => ({ authorization: String(refresh) }) });
  await assert.rejects(text(fetch), { name: 'ProblemError', message: 'expired', status: 401 });
  assert.deepEqual(
    requests.map(({ headers }) => headers.authorization),
    ['false', 'true', 'false', 'true', 'false', 'true'],
  );
});

test('repeats a POST without a response, with the same idempotency key', async () => {
  const gateway = new Response('<html>', { status: 502 });
  const { fetch, requests } = over([BREAK, gateway, stream([START, DONE])]);
  assert.equal(await text(fetch), START + DONE);
  const keys = requests.map(({ headers }) => headers['idempotency-key']);
  assert.match(keys[0], /^[0-9a-f]{32}$/);
  assert.deepEqual(keys, [keys[0], keys[0], keys[0]]);
  assert.deepEqual(requests.map(({ body }) => body), [POST.body, POST.body, POST.body]);
});

test('keeps an idempotency key', async () => {
  const { fetch, requests } = over([stream([START, BREAK]), stream([DONE])]);
  await text(fetch, { ...POST, headers: { 'idempotency-key': 'mine' } });
  assert.deepEqual(requests.map(({ headers }) => headers['idempotency-key']), ['mine', undefined]);
});

test('repeats a POST whose response does not arrive', async () => {
  const { fetch, requests } = over([never, stream([START, DONE])], { maxSilence: 30 });
  assert.equal(await text(fetch), START + DONE);
  assert.equal(requests.length, 2);
});

test('gives up a POST after maxSendTime', async () => {
  const { fetch } = over(Array(1000).fill(BREAK), { maxSendTime: 30, maxDelay: 5 });
  await assert.rejects(text(fetch), { name: 'ConnectionLostError', cause: BREAK, retryable: true });
});

test('passes a refused POST through', async () => {
  const refused = problem(429, {}, { 'retry-after': '1' });
  const { fetch, requests } = over([refused]);
  assert.equal(await fetch('/chat', POST), refused);
  assert.equal(requests.length, 1);
});

test('reconnects until maxDowntime has passed', async () => {
  const away = () => new Response('', { status: 503 });
  const answers = [stream([START, BREAK]), ...Array.from({ length: 1000 }, away)];
  const { fetch, requests } = over(answers, { maxDowntime: 60, maxDelay: 5 });
  await assert.rejects(text(fetch), { name: 'ConnectionLostError', code: 'connection_lost' });
  assert.ok(requests.length > 2);
});

test('reconnects after silence', async () => {
  const [silent, state] = openStream([START]);
  const { fetch, requests } = over([silent, stream([DELTA, DONE])], { maxSilence: 30 });
  assert.equal(await text(fetch), START + DELTA + DONE);
  assert.equal(state.closed, true);
  assert.equal(requests[1].headers['last-event-id'], '1-1@r');
});

test('reconnects at once when the network returns', async (t) => {
  const page = fakePage(t);
  const [halfOpen, state] = openStream([START]);
  const { fetch, requests } = over([halfOpen, stream([DELTA, DONE])], { delay: 60_000, maxDelay: 60_000 });
  const reading = text(fetch);
  await settle();
  page.setOnline(false);
  page.setOnline(true);
  assert.equal(await reading, START + DELTA + DONE);
  assert.equal(state.closed, true);
  assert.equal(requests.length, 2);
});

test('other half-open connections delay the answer by less than a second', async (t) => {
  const page = fakePage(t);
  t.mock.timers.enable({ apis: ['setTimeout', 'Date'] });
  const [halfOpen] = openStream([START]);
  const answers = [halfOpen, never, never, stream([DELTA, DONE])];
  const { fetch, requests } = over(answers, { delay: 60_000, maxDelay: 60_000 });
  const reading = text(fetch);
  await settle();
  page.setOnline(true);
  for (const limit of [200, 400]) {
    await settle();
    t.mock.timers.tick(limit);
  }
  assert.equal(await reading, START + DELTA + DONE);
  assert.equal(requests.length, 4);
});

test('a page that is visible again allows one missed heartbeat', async (t) => {
  const page = fakePage(t);
  t.mock.timers.enable({ apis: ['setTimeout', 'Date'] });
  const [silent, state] = openStream([START]);
  const { fetch } = over([silent, stream([DELTA, DONE])], { maxSilence: 300 });
  const reading = text(fetch);
  await settle();
  page.show('visible');
  t.mock.timers.tick(149);
  assert.equal(state.closed, false);
  t.mock.timers.tick(1);
  assert.equal(await reading, START + DELTA + DONE);
  assert.equal(state.closed, true);
});

for (const [name, change] of [
  ['the network returns', (page) => page.setOnline(true)],
  ['the page is visible', (page) => page.show('visible')],
]) {
  test(`does not wait longer when ${name}`, async (t) => {
    const page = fakePage(t);
    const { fetch } = over([stream([START, BREAK]), stream([DONE])], { delay: 1e9, maxDelay: 1e9 });
    const reading = text(fetch);
    await settle();
    change(page);
    assert.equal(await reading, START + DONE);
  });
}

test('attempts while offline do not count', async (t) => {
  const page = fakePage(t);
  const states = [];
  const { fetch } = over([stream([START, BREAK]), BREAK, BREAK, stream([DONE])], {
    maxDelay: 20,
    maxDowntime: 0,
    onConnection: (connection, chatId) => states.push([connection, chatId]),
  });
  page.setOnline(false);
  assert.equal(await text(fetch), START + DONE);
  assert.deepEqual(states.map(([{ state }]) => state).filter((state) => state === 'retrying').length, 6);
  assert.ok(states.every(([{ attempt = 0 }, chatId]) => attempt === 0 && chatId === 'a/b'));
});

test('reports the state of the connection', async () => {
  const position = 'data: {"type":"data-queue","data":{"position":1,"waiting":2}}\n\n';
  const states = [];
  const { fetch } = over([stream([position, BREAK]), stream([START, DONE])], {
    onConnection: (connection) => states.push(connection),
  });
  await text(fetch);
  assert.deepEqual(states, [
    { state: 'connecting' },
    { state: 'live' },
    { state: 'queued', position: 1, waiting: 2 },
    { state: 'retrying', attempt: 0, offline: false },
    { state: 'retrying', attempt: 1, offline: false },
    { state: 'live' },
    { state: 'idle' },
  ]);
});

test('does not resume events without ids', async () => {
  const { fetch, requests } = over([stream(['data: {"type":"start"}\n\n', BREAK])]);
  await assert.rejects(text(fetch), { name: 'IncompleteAnswerError' });
  assert.equal(requests.length, 1);
});

test('a missing event is an error', async () => {
  const [gap, state] = openStream([event(1, { type: 'start' }), event(3, { type: 'finish' })], VERIFIED);
  const { fetch } = over([gap]);
  await assert.rejects(text(fetch), { name: 'IntegrityError', code: 'integrity_gap' });
  assert.equal(state.closed, true);
});

test('aborts while waiting', async () => {
  const abort = new AbortController();
  const { fetch, requests } = over([stream([START, BREAK])], { delay: 60_000, maxDelay: 60_000 });
  const reading = text(fetch, { ...POST, signal: abort.signal });
  setTimeout(() => abort.abort(), 20);
  await assert.rejects(reading, { name: 'AbortError' });
  assert.equal(requests.length, 1);
});

test('a hidden page closes its connection and resumes when it is visible', async (t) => {
  const { show } = fakePage(t, 'http://host/app');
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
  assert.equal(requests[1].headers['last-event-id'], '1-1@r');
});

test('a page that is hidden from the start resumes from the first event', async (t) => {
  const { show } = fakePage(t, 'http://host/app');
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
  const { show } = fakePage(t, 'http://host/app');
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
    const { show } = fakePage(t, 'http://host/app');
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
