/** Follows one run: its record and its answer. */

import { batch, signal } from '@preact/signals';
import { authProblem, request, requestJson, RequestError } from './api/client';
import { applyChunk, emptyAnswer, type Answer } from './answer';
import { readEvents } from './api/sse';
import type { Run } from './api/types';

const RETRY_DELAY_MS = 1_000;

export class RunFollower {
  readonly run = signal<Run | null>(null);
  readonly answer = signal<Answer>(emptyAnswer());
  /** The error that is shown in place of the answer. */
  readonly problem = signal<string | null>(null);
  /** Whether the event stream is interrupted and will be requested again. */
  readonly interrupted = signal(false);

  private readonly aborting = new AbortController();
  private cursor = '';

  constructor(readonly id: string) {
    void this.refresh();
    void this.follow();
  }

  close(): void {
    this.aborting.abort();
  }

  /** Load the run's record. */
  async refresh(): Promise<void> {
    try {
      this.run.value = await requestJson<Run>(this.path, { signal: this.aborting.signal });
    } catch (error) {
      if (isPermanent(error) && !this.run.value) this.problem.value = error.message;
    }
  }

  private get path(): string {
    return `runs/${encodeURIComponent(this.id)}`;
  }

  private async follow(): Promise<void> {
    while (!this.aborting.signal.aborted) {
      try {
        if (await this.read()) break;
      } catch (error) {
        if (isPermanent(error)) {
          if (!authProblem.value) this.problem.value = error.message;
          return;
        }
      }
      this.interrupted.value = true;
      await new Promise((resolve) => setTimeout(resolve, RETRY_DELAY_MS));
    }
    await this.refresh();
  }

  /** Read the event stream. Returns whether it was read to its end. */
  private async read(): Promise<boolean> {
    const headers: HeadersInit = this.cursor ? { 'last-event-id': this.cursor } : {};
    const response = await request(`${this.path}/events`, { headers, signal: this.aborting.signal });
    if (response.status === 204) return true;
    for await (const event of readEvents(response)) {
      this.interrupted.value = false;
      if (event.id) this.cursor = event.id;
      if (!event.data) continue;
      if (event.data === '[DONE]') return true;
      applyChunk(this.pending, event.data);
      this.publish();
    }
    return false;
  }

  /** Received events, published at most every 50 ms. */
  private readonly pending = emptyAnswer();
  private publishing = false;

  private publish(): void {
    if (this.publishing) return;
    this.publishing = true;
    setTimeout(() => {
      this.publishing = false;
      batch(() => (this.answer.value = { ...this.pending }));
    }, 50);
  }
}

/** Whether a retry would fail in the same way. */
function isPermanent(error: unknown): error is RequestError {
  return error instanceof RequestError && error.problem.status < 500;
}
