import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MambaChatTransport } from '../dist/index.js';
import { fakeServer, never, openStream, problem, settle, stream } from './support.js';

const ANSWERED = { id: 'm', role: 'assistant', parts: [], metadata: { mamba: { runId: 'one' } } };
const NOT_PENDING = () => problem(409, { code: 'not_pending', detail: 'Answered already.' });

function replay(...events) {
  const texts = events.map(([id, chunk]) => `id: ${id}\ndata: ${JSON.stringify(chunk)}\n\n`);
  return stream([...texts, 'data: [DONE]\n\n']);
}

const start = (run, messageId = 'm') => [`1-1@${run}`, { type: 'start', messageId }];
const delta = (id, text) => [id, { type: 'text-delta', id: 't', delta: text }];
const finish = (id) => [id, { type: 'finish' }];

async function send(answers, { message = ANSWERED, ...options } = {}) {
  const { fetch, requests } = fakeServer(answers);
  const transport = new MambaChatTransport({ fetch, delay: 1, resumeEnded: false });
  const sent = { chatId: 'c', trigger: 'submit-message', messages: [message], abortSignal: undefined, ...options };
  const texts = [];
  const answer = transport.sendMessages(sent).then(async (readable) => {
    for await (const chunk of readable) if (chunk.delta) texts.push(chunk.delta);
  });
  return { answer, requests, texts };
}

for (const code of ['not_pending', 'run_in_progress']) {
  test(`after ${code} the page receives what another page has added`, async () => {
    const answers = [problem(409, { code }), replay(
      start('three'),
      delta('1-4@three/zero', 'a'),
      delta('1-2@three/one', 'b'),
      delta('1-3@three/one', 'c'),
      delta('1-2@three/two', 'd'),
      delta('1-2@three', 'e'),
      finish('1-3@three'),
    )];
    const { answer, requests, texts } = await send(answers);
    await answer;
    assert.deepEqual(texts, ['d', 'e']);
    assert.deepEqual([requests[1].method, requests[1].url], ['GET', '/chat/c/stream']);
    assert.equal(requests.length, 2);
  });
}

for (const [name, respond] of [
  ['another message', () => replay(start('two', 'n'), delta('1-2@two', 'x'), finish('1-3@two'))],
  ['the same run', () => replay(start('one'), delta('1-2@one', 'x'), finish('1-3@one'))],
  ['no run', () => new Response(null, { status: 204 })],
  ['a refused request', () => problem(404)],
]) {
  test(`the refusal is the error if the chat's newest run is ${name}`, async () => {
    const { answer, texts } = await send([NOT_PENDING(), respond()]);
    await assert.rejects(answer, { name: 'ProblemError', code: 'not_pending' });
    assert.deepEqual(texts, []);
  });
}

for (const [name, refusal, message] of [
  ['a message of the user', NOT_PENDING(), { ...ANSWERED, role: 'user' }],
  ['a message without metadata', NOT_PENDING(), { ...ANSWERED, metadata: undefined }],
  ['another refusal', problem(410, { code: 'pending_expired' }), ANSWERED],
]) {
  test(`no other run is followed after ${name}`, async () => {
    const { answer, requests } = await send([refusal], { message });
    await assert.rejects(answer, { name: 'ProblemError' });
    assert.equal(requests.length, 1);
  });
}

const text = (id, chunk) => `${id ? `id: ${id}\n` : ''}data: ${JSON.stringify(chunk)}\n\n`;
const QUEUED = text(undefined, { type: 'data-queue', transient: true, data: { position: 1, waiting: 1 } });
const FOLLOWED = { 'x-vercel-ai-ui-message-stream': 'v1', 'x-run-id': 'two' };

for (const [name, pieces, stops] of [
  ['does not stop a run that waits', [QUEUED], 0],
  ['stops the run that continues the message', [QUEUED, text(...start('two'))], 1],
]) {
  test(`an abort ${name}`, async () => {
    const [response, state] = openStream(pieces, FOLLOWED);
    const abort = new AbortController();
    const answers = [NOT_PENDING(), response, Response.json({})];
    const { answer, requests } = await send(answers, { abortSignal: abort.signal });
    await settle();
    abort.abort();
    await answer.catch(() => {});
    await settle();
    assert.equal(state.closed, true);
    assert.deepEqual(requests.slice(2).map(({ url }) => url), Array(stops).fill('/chat/c/stop?runId=two'));
  });
}

test('an abort before the response of the followed run closes the request at once', async () => {
  const abort = new AbortController();
  let signal;
  const pending = (request, init) => never(request, { signal: (signal = init.signal) });
  const { answer, requests } = await send([NOT_PENDING(), pending], { abortSignal: abort.signal });
  await settle();
  abort.abort();
  await assert.rejects(answer, { name: 'AbortError' });
  assert.equal(signal.aborted, true);
  await settle();
  assert.equal(requests.length, 2);
});
