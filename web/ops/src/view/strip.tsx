/** The numbers that matter, each with its state as a colour, a picture and a word. */

import { deferred, overview, running, samples, waiting } from '../house';
import * as format from '../format';
import type { Overview, Sample } from '../wire';
import { Icon } from './icons';

type State = 'ok' | 'warn' | 'bad' | 'none';

interface Number {
  label: string;
  value: string;
  state: State;
  /** What the state means here. */
  word: string;
}

const MINUTE = 60_000;
/** A wait that users notice. */
const LONG_MS = 5_000;

export function Strip() {
  const seen = overview.value;
  const numbers = seen ? numbersOf(seen) : LABELS.map(unknown);
  return (
    <section aria-label="At a glance" class="strip">
      {numbers.map(({ label, value, state, word }) => (
        <div key={label} class={`number ${state}`} data-number={label}>
          <h2>{label}</h2>
          <p class="value">{value}</p>
          <p class="word">
            <Icon name={state} />
            <span>{word}</span>
          </p>
        </div>
      ))}
    </section>
  );
}

const LABELS = [
  ...['Waiting', 'Oldest wait', 'Running', 'Workers'],
  ...['Answers', 'Failed', 'First token', 'Redis'],
];

function unknown(label: string): Number {
  return { label, value: format.NONE, state: 'none', word: 'not seen yet' };
}

function numbersOf(seen: Overview): Number[] {
  const lately = samples.value.filter((sample) => sample.at > seen.at - 5 * MINUTE);
  return [
    waitingNow(seen),
    oldestWait(seen),
    runningNow(seen),
    workersNow(seen),
    answers(lately, seen.at),
    failures(lately),
    firstToken(lately),
    redis(seen),
  ];
}

function waitingNow(seen: Overview): Number {
  const label = 'Waiting';
  const value = format.count(waiting.value);
  const later = deferred.value && `${format.count(deferred.value)} deferred`;
  if (!waiting.value) return { label, value, state: 'ok', word: later || 'nobody waits' };
  if (!seen.workers.length) return { label, value, state: 'bad', word: 'for a worker to come' };
  const word = later ? `and ${later}` : 'for a place';
  return { label, value, state: longest(seen) < LONG_MS ? 'ok' : 'warn', word };
}

function oldestWait(seen: Overview): Number {
  const label = 'Oldest wait';
  if (!waiting.value) return { label, value: '0 s', state: 'ok', word: 'picked up at once' };
  const wait = longest(seen);
  const value = format.age(wait);
  if (wait < LONG_MS) return { label, value, state: 'ok', word: 'short' };
  if (wait < 6 * LONG_MS) return { label, value, state: 'warn', word: 'noticed by users' };
  return { label, value, state: 'bad', word: 'too long' };
}

function longest(seen: Overview): number {
  return Math.max(0, ...seen.queues.map((queue) => queue.oldest_wait_ms));
}

function runningNow(seen: Overview): Number {
  const label = 'Running';
  const places = seen.workers.reduce((sum, worker) => sum + free(worker), 0);
  const value = `${format.count(running.value)} / ${format.count(places)}`;
  if (!places) return { label, value, state: 'none', word: 'no places' };
  const used = running.value / places;
  const word = `${format.percent(used)} of places`;
  return { label, value, state: used >= 1 ? 'bad' : used > 0.85 ? 'warn' : 'ok', word };
}

function free(worker: Overview['workers'][number]): number {
  return worker.draining ? worker.running : worker.concurrency;
}

function workersNow(seen: Overview): Number {
  const label = 'Workers';
  const value = format.count(seen.workers.length);
  const draining = seen.workers.filter((worker) => worker.draining).length;
  if (!seen.workers.length) return { label, value, state: 'bad', word: 'none is alive' };
  if (draining) return { label, value, state: 'warn', word: `${draining} draining` };
  return { label, value, state: 'ok', word: 'all serving' };
}

function answers(lately: Sample[], now: number): Number {
  const label = 'Answers';
  const minute = lately.filter((sample) => sample.at > now - MINUTE);
  const value = `${format.rate(mean(minute.map(ended)))} /s`;
  const tokens = mean(minute.map((sample) => sample.tokens));
  return { label, value, state: 'ok', word: `${format.rate(tokens)} tokens/s` };
}

function failures(lately: Sample[]): Number {
  const label = 'Failed';
  const all = mean(lately.map(ended));
  if (!all) return { label, value: format.NONE, state: 'none', word: 'none in 5 min' };
  const share = mean(lately.map((sample) => sample.failed)) / all;
  const value = format.percent(share);
  const state = share > 0.2 ? 'bad' : share > 0.02 ? 'warn' : 'ok';
  return { label, value, state, word: 'of the last 5 min' };
}

function firstToken(lately: Sample[]): Number {
  const label = 'First token';
  const last = lately.findLast((sample) => sample.first_token_p50_ms !== null);
  if (!last) return { label, value: format.NONE, state: 'none', word: 'none in 5 min' };
  const [half, most] = [last.first_token_p50_ms ?? 0, last.first_token_p95_ms ?? 0];
  const state = most > 10_000 ? 'bad' : most > 5_000 ? 'warn' : 'ok';
  return { label, value: format.span(half), state, word: `p95 ${format.span(most)}` };
}

function redis({ redis: seen }: Overview): Number {
  const label = 'Redis';
  if (!seen.up) return { label, value: 'away', state: 'bad', word: 'not reached' };
  const value = seen.latency_ms === null ? 'up' : `${+seen.latency_ms.toPrecision(2)} ms`;
  const [used, limit] = [seen.memory_bytes ?? 0, seen.memory_limit_bytes ?? 0];
  if (!limit) return { label, value, state: 'ok', word: `${format.bytes(used)} used` };
  const state = used > 0.9 * limit ? 'bad' : used > 0.75 * limit ? 'warn' : 'ok';
  return { label, value, state, word: `${format.bytes(used)} of ${format.bytes(limit)}` };
}

export function ended(sample: Sample): number {
  return sample.succeeded + sample.failed + sample.cancelled;
}

function mean(values: number[]): number {
  return values.length ? values.reduce((sum, value) => sum + value, 0) / values.length : 0;
}
