import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { AnswerDigest, resilientFetch } from '../dist/index.js';
import { canonicalJson } from '../dist/integrity/canonical_json.js';
import { sha256 } from '../dist/integrity/sha256.js';
import { event, fakeServer, POST, stream, VERIFIED } from './support.js';

const hash = (text) => createHash('sha256').update(text).digest('hex');
const START = event(1, { type: 'start' });

/** An event of a message replay, which a run wrote. */
const replayed = (text, run) => text.replace('@r\n', `@r/${run}\n`);

async function read(events, init = POST, rest = []) {
  const { fetch } = fakeServer([stream(events, VERIFIED), ...rest.map((part) => stream(part, VERIFIED))]);
  const response = await resilientFetch({ fetch, delay: 1 })('/chat', init);
  return response.text();
}

/** The end of an answer whose text is "Hi é". */
function answer({ digest = `sha256:${hash('Hi é')}`, events = 4 }) {
  return [
    START,
    event(2, { type: 'text-delta', id: 't', delta: 'Hi ' }),
    event(3, { type: 'text-delta', id: 't', delta: 'é' }),
    event(4, { type: 'finish', messageMetadata: { mamba: { digest, events } } }),
    event(5, '[DONE]'),
  ];
}

test('sha256 equals that of Node.js for every length up to three blocks', () => {
  for (let length = 0; length < 200; length++) {
    const text = 'x'.repeat(length);
    assert.equal(sha256(new TextEncoder().encode(text)), hash(text));
  }
});

test('canonical JSON sorts keys and formats numbers as ECMAScript does', () => {
  const value = { b: [1e21, 0.1, -0, 1e-7, 333333333.33333329], a: { '\u{1f600}': 'é\n', '\ufb33': null, 1: true } };
  assert.equal(
    canonicalJson(value),
    '{"a":{"1":true,"\u{1f600}":"é\\n","\ufb33":null},"b":[1e+21,0.1,0,1e-7,333333333.3333333]}',
  );
});

test('a digest covers the text and the final tool results, by tool call', () => {
  const digest = new AnswerDigest();
  for (const chunk of [
    { type: 'tool-output-available', toolCallId: 'b', output: { y: 1, x: 2 } },
    { type: 'text-delta', id: 't', delta: 'a' },
    { type: 'tool-output-error', toolCallId: 'a', errorText: 'no' },
    { type: 'tool-output-available', toolCallId: 'c', output: 1, preliminary: true },
    { type: 'text-delta', id: 't', delta: 'b' },
    { type: 'reasoning-delta', id: 'r', delta: 'hidden' },
  ]) {
    digest.add(chunk);
  }
  const results = `\na ${hash('"no"')}\nb ${hash('{"x":2,"y":1}')}`;
  assert.equal(digest.value(), `sha256:${hash(`ab${results}`)}`);
});

test('an answer with the right digest is accepted', async () => {
  assert.equal(await read(answer({})), answer({}).join(''));
});

test('the line separators of Unicode are part of an answer', async () => {
  const text = 'a\u2028b\u2029c\u0085d';
  const [start, , , finish, done] = answer({ digest: `sha256:${hash(text)}`, events: 3 });
  const delta = event(2, { type: 'text-delta', id: 't', delta: text });
  const events = [start, delta, finish.replace('1-4', '1-3'), done.replace('1-5', '1-4')];
  assert.equal(await read(events), events.join(''));
});

test('the metadata before an abort is checked', async () => {
  const metadata = { type: 'message-metadata', messageMetadata: { mamba: { digest: 'sha256:0', events: 3 } } };
  const events = [START, event(2, metadata), event(3, { type: 'abort' }), event(4, '[DONE]')];
  await assert.rejects(read(events), { code: 'integrity_digest' });
});

test('another digest is an error', async () => {
  await assert.rejects(read(answer({ digest: 'sha256:0' })), { name: 'IntegrityError', code: 'integrity_digest' });
});

test('another number of events is an error', async () => {
  await assert.rejects(read(answer({ events: 5 })), { name: 'IntegrityError', code: 'integrity_gap' });
});

test('the digest covers all connections', async () => {
  const events = answer({});
  assert.equal(await read(events.slice(0, 2), POST, [events.slice(2)]), events.join(''));
});

test('a repeated event is an error', async () => {
  await assert.rejects(read([START, START]), { code: 'integrity_gap' });
});

test('a merged event has every offset from that of its comment', async () => {
  const [start, , , ...end] = answer({});
  const merged = `: from 2\n${event(3, { type: 'text-delta', id: 't', delta: 'Hi é' })}`;
  const events = [start, merged, ...end];
  assert.equal(await read(events), events.join(''));
  assert.equal(await read([start], POST, [[merged, ...end]]), events.join(''));
});

test('a merged event after a gap, or that repeats an event, is an error', async () => {
  const merged = `: from 3\n${event(5, { type: 'text-delta', id: 't', delta: 'x' })}`;
  await assert.rejects(read([START, merged]), { code: 'integrity_gap' });
  const first = [2, 3].map((offset) => event(offset, { type: 'text-delta', id: 't', delta: 'x' }));
  await assert.rejects(read([START, ...first, merged]), { code: 'integrity_gap' });
});

test('replayed parts of earlier runs name their run and do not count', async () => {
  const earlier = [2, 3].map((offset) => replayed(event(offset, { type: 'text-delta', id: 't', delta: 'x' }), 'e'));
  const events = [replayed(START, 'r'), ...earlier, ...answer({}).slice(1)];
  assert.equal(await read(events, {}), events.join(''));
  assert.equal(await read(events.slice(0, 2), {}, [events.slice(2)]), events.join(''));
});

test('a replay may leave out events after start, and is then not compared', async () => {
  const events = [START, ...answer({ digest: 'sha256:0' }).slice(2)];
  assert.equal(await read(events, {}), events.join(''));
});

test('a stream in another format is not checked', async () => {
  const { fetch } = fakeServer([stream([START, event(4, { type: 'finish' }), event(9, '[DONE]')])]);
  const response = await resilientFetch({ fetch })('/chat', POST);
  assert.match(await response.text(), /DONE/);
});
