import { isOffline, pause } from './page_events.js';

interface Delays {
  delay: number;
  maxDelay: number;
}

/** Decides when to try again after a failure, and for how long. */
export class ReconnectPolicy {
  readonly #delays: Delays;
  readonly #budget: number;
  /** Milliseconds from the server; overrides `delay`. */
  serverDelay: number | undefined;
  #attempt = 0;
  #failedAt: number | undefined;

  constructor(delays: Delays, budget: number) {
    this.#delays = delays;
    this.#budget = budget;
  }

  get attempt(): number {
    return this.#attempt;
  }

  /** Whether the failures have lasted for longer than the budget. */
  get expired(): boolean {
    return this.#failedAt !== undefined && Date.now() - this.#failedAt > this.#budget;
  }

  /** The next failure is the first one. */
  reset(): void {
    this.#attempt = 0;
    this.#failedAt = undefined;
  }

  /** Time while the browser is offline does not count. */
  fail(): void {
    this.#failedAt = isOffline() ? undefined : (this.#failedAt ?? Date.now());
  }

  /** Begins an attempt. While the browser is offline, attempts do not count. */
  begin(): void {
    if (!isOffline()) this.#attempt += 1;
  }

  /**
   * Waits before the next attempt, with full jitter, so that clients do not reconnect all at once.
   * Returns early when the network returns or the page is visible again.
   */
  async wait(signal: AbortSignal, minimum = 0): Promise<void> {
    const { delay, maxDelay } = this.#delays;
    const base = (this.serverDelay ?? delay) * 2 ** this.#attempt;
    // A browser may be offline and still reach a server on its own machine.
    const jitter = isOffline() ? maxDelay : Math.random() * Math.min(maxDelay, base);
    await pause(Math.max(minimum, jitter), signal);
  }
}
