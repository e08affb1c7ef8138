/** The commands of an operator. Each one requires confirmation and reports its result. */

import { signal } from '@preact/signals';
import { requestJson, RequestError } from './api/client';
import type { Pausable } from './api/types';

export interface Confirmation {
  title: string;
  /** The ID of the run or worker, or the name of the queue. */
  target: string;
  text: string;
  confirmLabel: string;
  /** Run the command and return its result as a sentence. */
  run: () => Promise<string>;
}

export interface CommandOutcome {
  text: string;
  failed: boolean;
}

export const confirmation = signal<Confirmation | null>(null);
export const outcome = signal<CommandOutcome | null>(null);

const NO_RESPONSE = 'The server did not respond. Check whether the command took effect before you repeat it.';

interface CommandResult {
  detail: string;
}

export function confirmStop(id: string): void {
  confirmation.value = {
    title: 'Stop this run?',
    target: id,
    text: 'The answer so far is kept. The client sees the end of the run, and the run cannot be resumed.',
    confirmLabel: 'Stop the run',
    run: () => send(`runs/${encodeURIComponent(id)}/stop`),
  };
}

export function confirmRequeue(id: string): void {
  confirmation.value = {
    title: 'Requeue this run?',
    target: id,
    text: 'The run becomes due now. If its job is missing from its queue, it is added again. The next free worker starts the run.',
    confirmLabel: 'Requeue the run',
    run: () => send(`runs/${encodeURIComponent(id)}/requeue`),
  };
}

export function confirmMoveToFront(id: string): void {
  confirmation.value = {
    title: 'Move this run to the front?',
    target: id,
    text: 'The next free worker starts it before the waiting runs of all owners.',
    confirmLabel: 'Move the run',
    run: () => send(`runs/${encodeURIComponent(id)}/move-to-front`),
  };
}

export function confirmDrain(id: string): void {
  confirmation.value = {
    title: 'Drain this worker?',
    target: id,
    text: 'The worker takes no new runs and exits. Its current runs finish or continue on other workers.',
    confirmLabel: 'Drain the worker',
    run: () => send(`workers/${encodeURIComponent(id)}/drain`),
  };
}

export const PAUSE_EFFECTS: Record<Pausable, string> = {
  intake: 'New runs are refused, and accepted runs continue.',
  processing: 'Runs are accepted but wait. Workers start none of them, and continue those that have started.',
};

export function confirmPause(what: Pausable, queue: string | null): void {
  confirmation.value = {
    title: `Pause the ${what}?`,
    target: queue ?? 'all queues',
    text: PAUSE_EFFECTS[what],
    confirmLabel: `Pause the ${what}`,
    run: () => send(`pause/${what}${queryOf(queue)}`),
  };
}

export function confirmResume(what: Pausable, queue: string | null): void {
  confirmation.value = {
    title: `Resume the ${what}?`,
    target: queue ?? 'all queues',
    text: what === 'intake' ? 'New runs are accepted again.' : 'Workers start the waiting runs again.',
    confirmLabel: `Resume the ${what}`,
    run: () => send(`resume/${what}${queryOf(queue)}`),
  };
}

function queryOf(queue: string | null): string {
  return queue === null ? '' : `?queue=${encodeURIComponent(queue)}`;
}

export async function execute(confirmed: Confirmation): Promise<void> {
  try {
    outcome.value = { text: await confirmed.run(), failed: false };
  } catch (error) {
    const text = error instanceof RequestError ? error.message : NO_RESPONSE;
    outcome.value = { text, failed: true };
  }
}

async function send(path: string): Promise<string> {
  return (await requestJson<CommandResult>(path, { method: 'POST' })).detail;
}
