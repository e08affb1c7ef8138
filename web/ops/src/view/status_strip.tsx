/** The key metrics, each with its state as a color, an icon and a text. */

import { deferred, overview, running, samples, waiting } from '../system_state';
import * as format from '../format';
import type { Overview, Sample } from '../api/types';
import { Icon } from './icons';
import { isFull } from './queues';

type State = 'ok' | 'warn' | 'bad' | 'none';

interface Metric {
  label: string;
  value: string;
  state: State;
  /** Explains the state. */
  note: string;
}

const MINUTE = 60_000;
/** A wait that users notice, and one that is too long: those of `shared/monitoring/snapshot.py`. */
const NOTICEABLE_WAIT_MS = 2_000;
const LONG_WAIT_MS = 10_000;

export function StatusStrip() {
  const system = overview.value;
  const metrics = system ? metricsOf(system) : LABELS.map(unknown);
  return (
    <section aria-label="At a glance" class="strip">
      {metrics.map(({ label, value, state, note }) => (
        <div key={label} class={`metric ${state}`} data-metric={label}>
          <h2>{label}</h2>
          <p class="value">{value}</p>
          <p class="note">
            <Icon name={state} />
            <span>{note}</span>
          </p>
        </div>
      ))}
    </section>
  );
}

const LABELS = [
  ...['Waiting', 'Oldest wait', 'Running', 'Workers'],
  ...['Finished', 'Failed', 'First token', 'Redis'],
];

function unknown(label: string): Metric {
  return { label, value: format.NONE, state: 'none', note: 'no data yet' };
}

function metricsOf(system: Overview): Metric[] {
  const recent = samples.value.filter((sample) => sample.at > system.at - 5 * MINUTE);
  return [
    waitingNow(system),
    oldestWait(system),
    runningNow(system),
    workersNow(system),
    finished(recent, system.at),
    failures(recent),
    firstToken(recent),
    redis(system),
    ...webhooks(system),
  ];
}

function waitingNow(system: Overview): Metric {
  const label = 'Waiting';
  const value = format.count(waiting.value);
  const later = deferred.value && `${format.count(deferred.value)} deferred`;
  if (!waiting.value) return { label, value, state: 'ok', note: later || 'queue is empty' };
  if (!system.workers.length) return { label, value, state: 'bad', note: 'no workers' };
  if (system.queues.some((queue) => queue.waiting && queue.processing_paused)) {
    return { label, value, state: 'warn', note: 'paused' };
  }
  const unserved = system.queues.find((queue) => queue.waiting && !queue.workers);
  if (unserved) return { label, value, state: 'bad', note: 'unserved queue' };
  const note = later ? `and ${later}` : 'for a free slot';
  return { label, value, state: longest(system) < NOTICEABLE_WAIT_MS ? 'ok' : 'warn', note };
}

function oldestWait(system: Overview): Metric {
  const label = 'Oldest wait';
  if (!waiting.value) return { label, value: '0 s', state: 'ok', note: 'no wait' };
  const wait = longest(system);
  const value = format.age(wait);
  if (wait < NOTICEABLE_WAIT_MS) return { label, value, state: 'ok', note: 'short' };
  if (wait < LONG_WAIT_MS) return { label, value, state: 'warn', note: 'noticed by users' };
  return { label, value, state: 'bad', note: 'too long' };
}

function longest(system: Overview): number {
  return Math.max(0, ...system.queues.map((queue) => queue.oldest_wait_ms));
}

function runningNow(system: Overview): Metric {
  const label = 'Running';
  const slots = system.workers.reduce((sum, worker) => sum + capacity(worker), 0);
  const value = `${format.count(running.value)} / ${format.count(slots)}`;
  if (!slots) return { label, value, state: 'none', note: 'no slots' };
  const used = running.value / slots;
  if (used < 1 && system.queues.some(isFull)) return { label, value, state: 'warn', note: 'one pool is full' };
  const note = `${format.percent(used)} of slots`;
  return { label, value, state: used >= 1 ? 'bad' : used > 0.85 ? 'warn' : 'ok', note };
}

function capacity(worker: Overview['workers'][number]): number {
  return worker.draining ? worker.running : worker.concurrency;
}

function workersNow(system: Overview): Metric {
  const label = 'Workers';
  const value = format.count(system.workers.length);
  const draining = system.workers.filter((worker) => worker.draining).length;
  if (!system.workers.length) return { label, value, state: 'bad', note: 'no live workers' };
  const [last] = system.vanished;
  if (last) {
    const note = `${system.vanished.length} vanished ${format.age(system.at - last.seen_at)} ago`;
    return { label, value, state: 'warn', note };
  }
  if (draining) return { label, value, state: 'warn', note: `${draining} draining` };
  return { label, value, state: 'ok', note: 'all serving' };
}

function finished(recent: Sample[], now: number): Metric {
  const label = 'Finished';
  const minute = recent.filter((sample) => sample.at > now - MINUTE);
  const value = `${format.rate(mean(minute.map(ended)))} /s`;
  const tokens = mean(minute.map((sample) => sample.tokens));
  return { label, value, state: 'ok', note: `${format.rate(tokens)} tokens/s` };
}

function failures(recent: Sample[]): Metric {
  const label = 'Failed';
  const all = mean(recent.map(ended));
  if (!all) return { label, value: format.NONE, state: 'none', note: 'none in 5 min' };
  const share = mean(recent.map((sample) => sample.failed)) / all;
  const value = format.percent(share);
  const state = share > 0.2 ? 'bad' : share > 0.02 ? 'warn' : 'ok';
  return { label, value, state, note: 'in the last 5 min' };
}

function firstToken(recent: Sample[]): Metric {
  const label = 'First token';
  const last = recent.findLast((sample) => sample.first_token_p50_ms !== null);
  if (!last) return { label, value: format.NONE, state: 'none', note: 'none in 5 min' };
  const [half, most] = [last.first_token_p50_ms ?? 0, last.first_token_p95_ms ?? 0];
  const state = most > 10_000 ? 'bad' : most > 5_000 ? 'warn' : 'ok';
  return { label, value: format.duration(half), state, note: `p95 ${format.duration(most)}` };
}

function redis({ redis: snapshot }: Overview): Metric {
  const label = 'Redis';
  if (!snapshot.up) return { label, value: 'down', state: 'bad', note: 'unreachable' };
  const value = snapshot.latency_ms === null ? 'up' : `${+snapshot.latency_ms.toPrecision(2)} ms`;
  const [used, limit] = [snapshot.memory_bytes ?? 0, snapshot.memory_limit_bytes ?? 0];
  if (!limit) return { label, value, state: 'ok', note: `${format.bytes(used)} used` };
  const state = used > 0.9 * limit ? 'bad' : used > 0.75 * limit ? 'warn' : 'ok';
  return { label, value, state, note: `${format.bytes(used)} of ${format.bytes(limit)}` };
}

/** Nothing if no destination is configured. */
function webhooks({ webhooks: destinations }: Overview): Metric[] {
  if (!destinations?.length) return [];
  const [pending, retrying, failed] = (['pending', 'retrying', 'failed'] as const).map((state) =>
    destinations.reduce((sum, destination) => sum + destination[state], 0),
  ) as [number, number, number];
  const label = 'Webhooks';
  const value = format.count(pending + retrying + failed);
  if (failed) return [{ label, value, state: 'bad', note: `${format.count(failed)} given up` }];
  if (retrying) return [{ label, value, state: 'warn', note: `${format.count(retrying)} retrying` }];
  return [{ label, value, state: 'ok', note: pending ? 'pending' : 'all delivered' }];
}

export function ended(sample: Sample): number {
  return sample.succeeded + sample.failed + sample.cancelled;
}

function mean(values: number[]): number {
  return values.length ? values.reduce((sum, value) => sum + value, 0) / values.length : 0;
}
