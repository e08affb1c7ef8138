/** One run, followed live: what is known of it, and what it says. */

import { batch, signal } from '@preact/signals';
import { ask, askJson, refused, Refused } from './access';
import { emptyAnswer, take, type Answer } from './chunks';
import { events } from './sse';
import type { Run } from './wire';

const PAUSE_MS = 1_000;

export class Following {
  readonly run = signal<Run | null>(null);
  readonly answer = signal<Answer>(emptyAnswer());
  /** Why nothing is shown. */
  readonly problem = signal<string | null>(null);
  /** Its events do not come, and are asked for again. */
  readonly broken = signal(false);

  private readonly aborting = new AbortController();
  private cursor = '';

  constructor(readonly id: string) {
    void this.refresh();
    void this.follow();
  }

  close(): void {
    this.aborting.abort();
  }

  /** Ask anew what is known of it. */
  async refresh(): Promise<void> {
    try {
      this.run.value = await askJson<Run>(this.path, { signal: this.aborting.signal });
    } catch (error) {
      if (lasting(error) && !this.run.value) this.problem.value = error.message;
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
        if (lasting(error)) {
          if (!refused.value) this.problem.value = error.message;
          return;
        }
      }
      this.broken.value = true;
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
    await this.refresh();
  }

  /** Whether it was read to its end. */
  private async read(): Promise<boolean> {
    const headers: HeadersInit = this.cursor ? { 'last-event-id': this.cursor } : {};
    const response = await ask(`${this.path}/events`, { headers, signal: this.aborting.signal });
    if (response.status === 204) return true;
    for await (const event of events(response)) {
      this.broken.value = false;
      if (event.id) this.cursor = event.id;
      if (!event.data) continue;
      if (event.data === '[DONE]') return true;
      take(this.held, event.data);
      this.show();
    }
    return false;
  }

  /** What has come in; it is shown once a frame, however fast it comes. */
  private readonly held = emptyAnswer();
  private due = false;

  private show(): void {
    if (this.due) return;
    this.due = true;
    setTimeout(() => {
      this.due = false;
      batch(() => (this.answer.value = { ...this.held }));
    }, 50);
  }
}

/** Whether asking again would bring the same. */
function lasting(error: unknown): error is Refused {
  return error instanceof Refused && error.problem.status < 500;
}
