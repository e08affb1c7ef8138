import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MambaChatTransport } from '../dist/index.js';
import { BREAK, DELTA, DONE, event, fakeServer, FINISH, openStream, problem, settle, START, stream } from './support.js';

const USER = { id: 'u', role: 'user', parts: [{ type: 'text', text: 'Hi' }] };
const STOPPED = () => Response.json({ run_id: 'r', state: 'cancelled' });

function over(answers, options = {}) {
  const { fetch, requests } = fakeServer(answers);
  return { requests, transport: new MambaChatTransport({ fetch, delay: 1, ...options }) };
}

function message(options = {}) {
  return { chatId: 'c', trigger: 'submit-message', messages: [USER], abortSignal: undefined, ...options };
}

async function collect(readable) {
  const chunks = [];
  for await (const chunk of readable) chunks.push(chunk.type);
  return chunks;
}

/** A message whose answer has begun. */
async function begin(transport, signal) {
  const readable = await transport.sendMessages(message({ abortSignal: signal }));
  const reader = readable.getReader();
  await reader.read();
  return reader;
}

const routes = (requests) => requests.map(({ method, url }) => `${method} ${url}`);

test('sends the body of the AI SDK and returns the chunks', async () => {
  const { transport, requests } = over([stream([START, DELTA, FINISH, DONE])], {
    body: async () => ({ model: 'm', tools: [] }),
    credentials: 'include',
    headers: { authorization: 'Bearer x' },
    whenBusy: 'queue',
  });
  const chunks = await transport.sendMessages(message({ body: { tools: ['a'] }, headers: { 'x-a': 'b' } }));
  assert.deepEqual(await collect(chunks), ['start', 'text-delta', 'finish']);
  const { body, headers, method, url } = requests[0];
  assert.deepEqual([method, url], ['POST', '/chat']);
  assert.deepEqual(JSON.parse(body), {
    ...{ whenBusy: 'queue', model: 'm', tools: ['a'], id: 'c', messages: [USER], trigger: 'submit-message' },
  });
  assert.equal(headers['content-type'], 'application/json');
  assert.deepEqual([headers.authorization, headers['x-a']], ['Bearer x', 'b']);
  assert.ok(headers['idempotency-key']);
});

for (const [name, options] of [
  ['regenerate()', { trigger: 'regenerate-message' }],
  ['an edited message', { messageId: 'u' }],
]) {
  test(`${name} supersedes the live run`, async () => {
    const { transport, requests } = over([stream([START, DONE])], { whenBusy: 'queue' });
    await collect(await transport.sendMessages(message(options)));
    assert.equal(JSON.parse(requests[0].body).whenBusy, 'supersede');
  });
}

test('the body of a request overrides the priority', async () => {
  const { transport, requests } = over([stream([START, DONE]), stream([START, DONE])], { priority: 'background' });
  await collect(await transport.sendMessages(message()));
  await collect(await transport.sendMessages(message({ body: { priority: 'interactive' } })));
  assert.deepEqual(requests.map(({ body }) => JSON.parse(body).priority), ['background', 'interactive']);
});

test('prepareBody changes the body', async () => {
  const { transport, requests } = over([stream([START, DONE])], {
    prepareBody: ({ messages, ...body }) => ({ ...body, message: messages.at(-1) }),
  });
  await collect(await transport.sendMessages(message()));
  assert.deepEqual(JSON.parse(requests[0].body), { id: 'c', message: USER, trigger: 'submit-message' });
});

test('a refused request is a ProblemError', async () => {
  const { transport } = over([problem(422, { code: 'invalid_request', detail: 'tools[0]: Unknown', field: 'tools[0]' })]);
  await assert.rejects(transport.sendMessages(message()), {
    ...{ name: 'ProblemError', code: 'invalid_request', field: 'tools[0]', message: 'tools[0]: Unknown' },
  });
});

test('a response that is not a stream is an error', async () => {
  const { transport } = over([Response.json({ ok: true })]);
  await assert.rejects(transport.sendMessages(message()), { code: 'unexpected_response' });
});

test('a failed run is a RunError', async () => {
  const data = { code: 'model_busy', requestId: 'req_1', retryable: true };
  const { transport } = over([
    stream([START, event(2, { type: 'data-error', data, transient: true }), event(3, { type: 'error', errorText: 'Busy' })]),
  ]);
  await assert.rejects(collect(await transport.sendMessages(message())), {
    ...{ name: 'RunError', code: 'model_busy', requestId: 'req_1', retryable: true, message: 'Busy' },
  });
});

test('reconnectToStream resumes, and returns null without a run', async () => {
  const { transport, requests } = over([stream([START, BREAK]), stream([DELTA, DONE]), new Response(null, { status: 204 })]);
  assert.deepEqual(await collect(await transport.reconnectToStream({ chatId: 'a/b' })), ['start', 'text-delta']);
  assert.equal(await transport.reconnectToStream({ chatId: 'a/b' }), null);
  assert.deepEqual(routes(requests), Array(3).fill('GET /chat/a%2Fb/stream'));
});

test('resumeEnded: false asks for a live run only, and resumes its whole answer', async () => {
  const { transport, requests } = over([stream([START, BREAK]), stream([DELTA, DONE])], { resumeEnded: false });
  await collect(await transport.reconnectToStream({ chatId: 'c' }));
  assert.deepEqual(routes(requests), ['GET /chat/c/stream?live=true', 'GET /chat/c/stream']);
});

test('an abort stops the run and closes the connection', async () => {
  const abort = new AbortController();
  const [live, state] = openStream([START], { 'x-run-id': 'r' });
  const { transport, requests } = over([live, STOPPED()], { headers: { authorization: 'Bearer x' } });
  const reader = await begin(transport, abort.signal);
  abort.abort();
  await settle();
  assert.deepEqual(routes(requests), ['POST /chat', 'POST /chat/c/stop?runId=r']);
  assert.equal(requests[1].headers.authorization, 'Bearer x');
  await assert.rejects(reader.read(), { name: 'AbortError' });
  assert.equal(state.closed, true);
});

test('an abort before the response stops the run after the response', async () => {
  const abort = new AbortController();
  let respond;
  const accepted = () => new Promise((resolve) => (respond = () => resolve(openStream([START])[0])));
  const { transport, requests } = over([accepted, STOPPED()]);
  const sending = transport.sendMessages(message({ abortSignal: abort.signal }));
  await settle();
  abort.abort();
  await assert.rejects(sending, { name: 'AbortError' });
  assert.equal(requests.length, 1);
  respond();
  await settle();
  assert.deepEqual(routes(requests), ['POST /chat', 'POST /chat/c/stop']);
  assert.equal(transport.connection('c').state, 'idle');
});

test('an abort stops its own run, and the other one finishes', async () => {
  const abort = new AbortController();
  const first = stream([START, FINISH, DONE], { 'x-run-id': 'r' });
  const [waiting] = openStream([START], { 'x-run-id': 'r2' });
  const { transport, requests } = over([first, waiting, STOPPED()], { whenBusy: 'queue' });
  const answer = await transport.sendMessages(message());
  await begin(transport, abort.signal);
  abort.abort();
  assert.deepEqual(await collect(answer), ['start', 'finish']);
  await settle();
  assert.deepEqual(routes(requests), ['POST /chat', 'POST /chat', 'POST /chat/c/stop?runId=r2']);
});

test('an abort of a request whose response is lost stops the live run', async () => {
  const abort = new AbortController();
  let lose;
  const lost = () => new Promise((_, reject) => (lose = () => reject(new TypeError('lost'))));
  const { transport, requests } = over([lost, STOPPED()], { maxSendTime: -1 });
  const sending = transport.sendMessages(message({ abortSignal: abort.signal }));
  await settle();
  abort.abort();
  await assert.rejects(sending, { name: 'AbortError' });
  lose();
  await settle();
  assert.deepEqual(routes(requests), ['POST /chat', 'POST /chat/c/stop']);
});

test('an abort of a refused request stops nothing', async () => {
  const abort = new AbortController();
  let respond;
  const refused = () => new Promise((resolve) => (respond = () => resolve(problem(409, {}))));
  const { transport, requests } = over([refused]);
  const sending = transport.sendMessages(message({ abortSignal: abort.signal }));
  await settle();
  abort.abort();
  await assert.rejects(sending, { name: 'AbortError' });
  respond();
  await settle();
  assert.equal(requests.length, 1);
});

test('a message after a stop waits until the run has ended', async () => {
  const abort = new AbortController();
  let stopped;
  const stopping = () => new Promise((resolve) => (stopped = () => resolve(STOPPED())));
  const { transport, requests } = over([openStream([START])[0], stopping, stream([START, DONE])]);
  await begin(transport, abort.signal);
  abort.abort();
  const sending = transport.sendMessages(message());
  await settle();
  assert.deepEqual(routes(requests), ['POST /chat', 'POST /chat/c/stop']);
  stopped();
  await collect(await sending);
  assert.deepEqual(routes(requests), ['POST /chat', 'POST /chat/c/stop', 'POST /chat']);
});

for (const [name, request] of [
  ['message', (transport, abortSignal) => transport.sendMessages(message({ abortSignal }))],
  ['resume', (transport, abortSignal) => transport.reconnectToStream({ chatId: 'c', abortSignal })],
]) {
  test(`a ${name} that waits for a stop can be aborted`, async () => {
    const [first, second] = [new AbortController(), new AbortController()];
    let stopped;
    const stopping = () => new Promise((resolve) => (stopped = () => resolve(STOPPED())));
    const { transport, requests } = over([openStream([START])[0], stopping]);
    await begin(transport, first.signal);
    first.abort();
    await settle();
    const waiting = request(transport, second.signal);
    await settle();
    second.abort();
    await assert.rejects(waiting, { name: 'AbortError' });
    assert.deepEqual(routes(requests), ['POST /chat', 'POST /chat/c/stop']);
    stopped();
    await settle();
  });
}

test('a request that replaces an aborted one at once keeps the run', async () => {
  const abort = new AbortController();
  const { transport, requests } = over([openStream([START])[0], stream([START, DONE])]);
  await begin(transport, abort.signal);
  abort.abort();
  await collect(await transport.reconnectToStream({ chatId: 'c' }));
  assert.deepEqual(routes(requests), ['POST /chat', 'GET /chat/c/stream']);
});

test('an abort before the request stops nothing', async () => {
  const abort = new AbortController();
  const { transport, requests } = over([stream([START, DONE])]);
  const first = transport.reconnectToStream({ chatId: 'c', abortSignal: abort.signal });
  abort.abort();
  const second = transport.reconnectToStream({ chatId: 'c' });
  await assert.rejects(first, { name: 'AbortError' });
  await collect(await second);
  await settle();
  assert.deepEqual(routes(requests), ['GET /chat/c/stream']);
});

for (const [name, options, release] of [
  ['after release()', {}, (transport) => transport.release('c')],
  ['after release() of all chats', {}, (transport) => transport.release()],
  ['without stopOnAbort', { stopOnAbort: false }, () => {}],
]) {
  test(`an abort ${name} only closes the connection`, async () => {
    const abort = new AbortController();
    const [live, state] = openStream([START]);
    const { transport, requests } = over([live], options);
    await begin(transport, abort.signal);
    release(transport);
    abort.abort();
    await settle();
    assert.equal(requests.length, 1);
    assert.equal(state.closed, true);
  });
}

test('an abort after the end stops nothing', async () => {
  const abort = new AbortController();
  const { transport, requests } = over([stream([START, FINISH, DONE])]);
  await collect(await transport.sendMessages(message({ abortSignal: abort.signal })));
  abort.abort();
  await settle();
  assert.equal(requests.length, 1);
});

test('a failed stop is reported', async () => {
  const abort = new AbortController();
  const failures = [];
  const { transport } = over([openStream([START])[0], problem(403, { detail: 'No' })], {
    onStopError: (error, chatId) => failures.push([error.message, chatId]),
  });
  await begin(transport, abort.signal);
  abort.abort();
  await settle();
  assert.deepEqual(failures, [['No', 'c']]);
});

test('stop() can end queued runs too, and accepts that there is no run', async () => {
  const { transport, requests } = over([STOPPED(), problem(404)], { api: '/chat?tenant=1' });
  await transport.stop('c', { queued: true });
  await transport.stop('c');
  assert.deepEqual(routes(requests), ['POST /chat/c/stop?tenant=1&queued=true', 'POST /chat/c/stop?tenant=1']);
});

test('the connection of a chat can be observed', async () => {
  const [live] = openStream([START]);
  const { transport } = over([live]);
  const states = [];
  const unsubscribe = transport.subscribe(() => states.push(transport.connection('c').state));
  const reader = await begin(transport);
  await reader.cancel();
  await settle();
  unsubscribe();
  assert.deepEqual(states, ['connecting', 'live', 'idle']);
  assert.deepEqual(transport.connection('c'), { state: 'idle' });
});

test('the connection of a chat is that of its newest unfinished answer', async () => {
  const answer = () => stream([START, FINISH, DONE]);
  const { transport } = over([answer(), answer(), answer()]);
  const states = [];
  transport.subscribe(() => states.push(transport.connection('c').state));
  const answers = [];
  for (let sent = 0; sent < 3; sent++) answers.push(await transport.sendMessages(message()));
  await collect(answers[0]);
  assert.notEqual(transport.connection('c').state, 'idle');
  await collect(answers[2]);
  assert.notEqual(transport.connection('c').state, 'idle');
  await collect(answers[1]);
  assert.equal(states.indexOf('idle'), states.length - 1);
});

test('incomplete tool input is closed before an error', async () => {
  const { transport } = over([
    stream([START, event(2, { type: 'tool-input-start', toolCallId: 'a', toolName: 'x' }), BREAK]),
    problem(403),
  ]);
  const readable = await transport.sendMessages(message());
  const chunks = [];
  await assert.rejects(async () => {
    for await (const chunk of readable) chunks.push(chunk);
  });
  assert.deepEqual(
    chunks.map(({ type, toolCallId }) => [type, toolCallId]),
    [['start', undefined], ['tool-input-start', 'a'], ['tool-input-error', 'a']],
  );
});
