/** What an operator may order. Each is asked about first, and its result is told. */

import { signal } from '@preact/signals';
import { askJson, Refused } from './access';

export interface Question {
  title: string;
  /** The id of the run or worker. */
  of: string;
  text: string;
  yes: string;
  /** Does it, and says what has become of it. */
  run: () => Promise<string>;
}

export interface Result {
  text: string;
  bad: boolean;
}

export const question = signal<Question | null>(null);
export const result = signal<Result | null>(null);

const UNANSWERED = 'The server did not answer: see whether it has been done before you order it again.';

interface Told {
  detail: string;
}

export function askToStop(id: string): void {
  question.value = {
    title: 'Stop this run?',
    of: id,
    text: 'What was said stays. Its reader sees the end, and it cannot be resumed.',
    yes: 'Stop the run',
    run: () => order(`runs/${encodeURIComponent(id)}/stop`),
  };
}

export function askToRequeue(id: string): void {
  question.value = {
    title: 'Make this run due now?',
    of: id,
    text: 'For a run that waits for another time, or whose job has left its queue. A worker takes it next.',
    yes: 'Requeue the run',
    run: () => order(`runs/${encodeURIComponent(id)}/requeue`),
  };
}

export function askToDrain(id: string): void {
  question.value = {
    title: 'Drain this worker?',
    of: id,
    text: 'It takes nothing new, and its process ends: its answers finish, or go on elsewhere.',
    yes: 'Drain the worker',
    run: () => order(`workers/${encodeURIComponent(id)}/drain`),
  };
}

export async function carryOut(asked: Question): Promise<void> {
  try {
    result.value = { text: await asked.run(), bad: false };
  } catch (error) {
    const text = error instanceof Refused ? error.message : UNANSWERED;
    result.value = { text, bad: true };
  }
}

async function order(path: string): Promise<string> {
  return (await askJson<Told>(path, { method: 'POST' })).detail;
}
