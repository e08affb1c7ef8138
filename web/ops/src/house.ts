/** The house as it was last seen, and how well the page is connected to it. */

import { batch, computed, signal } from '@preact/signals';
import { ask, refused, Refused } from './access';
import { events } from './sse';
import type { Overview, Sample } from './wire';

export type Link = 'connecting' | 'live' | 'lost';

const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 10_000;
/** The stream says something every 2 seconds. */
const SILENCE_MS = 8_000;
const KEPT_MS = 3_600_000;

export const link = signal<Link>('connecting');
/** When the next attempt to connect is made; by this machine's clock. */
export const retryAt = signal(0);
export const overview = signal<Overview | null>(null);
/** When it came; by this machine's clock. */
export const seenAt = signal(0);
export const samples = signal<Sample[]>([]);
/** The server does not reach Redis: what is shown is as it last was. */
export const blind = signal(false);

export const waiting = computed(() => total((queue) => queue.waiting));
export const running = computed(() => total((queue) => queue.running));
export const deferred = computed(() => total((queue) => queue.deferred));

let wake: () => void = () => {};

/** Follow the house for ever, whatever happens in between. */
export async function follow(): Promise<never> {
  let pause = FIRST_PAUSE_MS;
  for (;;) {
    try {
      if (await connect(() => (pause = FIRST_PAUSE_MS))) {
        await sleep(FIRST_PAUSE_MS / 2);
        continue; // The server ended it in good order: another may go on.
      }
    } catch (error) {
      if (error instanceof Refused && refused.value) {
        link.value = 'connecting';
        await changed();
        continue;
      }
    }
    link.value = 'lost';
    const jittered = pause * (0.75 + Math.random() / 2);
    retryAt.value = Date.now() + jittered;
    await Promise.race([sleep(jittered), changed()]);
    pause = Math.min(pause * 2, LONGEST_PAUSE_MS);
  }
}

/** Connect now: the key has changed, the network is back, or somebody has asked for it. */
export function reconnect(): void {
  wake();
}

/** Whether anything came before it ended: a process that drains, or a proxy's own page, says nothing. */
async function connect(onLive: () => void): Promise<boolean> {
  const aborting = new AbortController();
  let timer = 0;
  let heard = false;
  const listen = () => {
    clearTimeout(timer);
    timer = setTimeout(() => aborting.abort(), SILENCE_MS);
  };
  try {
    listen();
    const response = await ask('stream', { signal: aborting.signal });
    for await (const event of events(response)) {
      listen();
      if (event.type === 'overview') {
        take(JSON.parse(event.data) as Overview);
        onLive();
        heard = true;
      }
    }
    return heard;
  } finally {
    clearTimeout(timer);
    aborting.abort();
  }
}

function take(seen: Overview): void {
  batch(() => {
    link.value = 'live';
    blind.value = !seen.redis.up;
    if (seen.redis.up) seenAt.value = Date.now();
    // A process that has never reached Redis knows of nothing: what is known stays.
    if (!seen.at) overview.value = overview.value && { ...overview.value, redis: seen.redis };
    else {
      samples.value = merged(samples.value, seen);
      overview.value = seen;
    }
  });
}

/** Each message brings the newest samples, the first all of them. */
function merged(known: Sample[], seen: Overview): Sample[] {
  const first = seen.samples[0]?.at ?? Infinity;
  const before = known.filter((sample) => sample.at < first && sample.at > seen.at - KEPT_MS);
  return [...before, ...seen.samples];
}

function total(of: (queue: Overview['queues'][number]) => number): number {
  return overview.value?.queues.reduce((sum, queue) => sum + of(queue), 0) ?? 0;
}

function changed(): Promise<void> {
  return new Promise((resolve) => (wake = resolve));
}

function sleep(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
