/** The latest system snapshot, and the state of the connection that delivers it. */

import { batch, computed, signal } from '@preact/signals';
import { authProblem, request, RequestError } from './api/client';
import { readEvents } from './api/sse';
import type { Overview, OwnerRanking, Sample } from './api/types';

export type ConnectionState = 'connecting' | 'live' | 'lost';

const MIN_DELAY_MS = 500;
const MAX_DELAY_MS = 10_000;
/** The server sends an event every 2 seconds. */
const SILENCE_TIMEOUT_MS = 8_000;
const HISTORY_MS = 3_600_000;

export const connection = signal<ConnectionState>('connecting');
/** The time of the next connection attempt, by this machine's clock. */
export const retryAt = signal(0);
export const overview = signal<Overview | null>(null);
/** When the snapshot arrived, by this machine's clock. */
export const receivedAt = signal(0);
export const ranking = signal<OwnerRanking | null>(null);
export const samples = signal<Sample[]>([]);
/** Whether the server cannot reach Redis. The page then shows the last snapshot. */
export const redisDown = signal(false);

export const waiting = computed(() => total((queue) => queue.waiting));
export const running = computed(() => total((queue) => queue.running));
export const deferred = computed(() => total((queue) => queue.deferred));

let wake: () => void = () => {};

/** Follow the system state forever, and reconnect after errors. */
export async function follow(): Promise<never> {
  let delay = MIN_DELAY_MS;
  for (;;) {
    try {
      if (await connect(() => (delay = MIN_DELAY_MS))) {
        await sleep(MIN_DELAY_MS / 2);
        continue; // The server ended the stream normally: reconnect at once.
      }
    } catch (error) {
      if (error instanceof RequestError && authProblem.value) {
        connection.value = 'connecting';
        await reconnectRequested();
        continue;
      }
    }
    connection.value = 'lost';
    const jittered = delay * (0.75 + Math.random() / 2);
    retryAt.value = Date.now() + jittered;
    await Promise.race([sleep(jittered), reconnectRequested()]);
    delay = Math.min(delay * 2, MAX_DELAY_MS);
  }
}

/** Connect now: the key changed, the network is back, or the operator requested it. */
export function reconnect(): void {
  wake();
}

/** Read one stream. Returns whether it sent a snapshot; a proxy's page, for example, does not. */
async function connect(onLive: () => void): Promise<boolean> {
  const aborting = new AbortController();
  let timer = 0;
  let received = false;
  const restartTimer = () => {
    clearTimeout(timer);
    timer = setTimeout(() => aborting.abort(), SILENCE_TIMEOUT_MS);
  };
  try {
    restartTimer();
    const response = await request('stream', { signal: aborting.signal });
    for await (const event of readEvents(response)) {
      restartTimer();
      if (event.type === 'owners') ranking.value = JSON.parse(event.data) as OwnerRanking;
      if (event.type === 'overview') {
        update(JSON.parse(event.data) as Overview);
        onLive();
        received = true;
      }
    }
    return received;
  } finally {
    clearTimeout(timer);
    aborting.abort();
  }
}

function update(latest: Overview): void {
  batch(() => {
    connection.value = 'live';
    redisDown.value = !latest.redis.up;
    if (latest.redis.up) receivedAt.value = Date.now();
    // A process that has never reached Redis sends an empty snapshot: keep the last one.
    if (!latest.at) overview.value = overview.value && { ...overview.value, redis: latest.redis };
    else {
      samples.value = mergeSamples(samples.value, latest);
      overview.value = latest;
    }
  });
}

/** The first event has all samples, the others only the newest. */
function mergeSamples(known: Sample[], latest: Overview): Sample[] {
  const first = latest.samples[0]?.at ?? Infinity;
  const before = known.filter((sample) => sample.at < first && sample.at > latest.at - HISTORY_MS);
  return [...before, ...latest.samples];
}

function total(of: (queue: Overview['queues'][number]) => number): number {
  return overview.value?.queues.reduce((sum, queue) => sum + of(queue), 0) ?? 0;
}

function reconnectRequested(): Promise<void> {
  return new Promise((resolve) => (wake = resolve));
}

function sleep(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
