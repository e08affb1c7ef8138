import { isHidden, onPageHidden, onPageReturn } from './page_events.js';

interface WatchSettings {
  maxSilence: number;
  releaseHidden: boolean;
}

/** Interrupts a connection that is silent for too long, has probably broken, or is not needed. */
export class ConnectionWatch {
  /** Why the connection was interrupted; `hidden` if the page does not need it. */
  reason: 'silent' | 'online' | 'hidden' | undefined;
  readonly #interrupt: () => void;
  readonly #maxSilence: number;
  readonly #cleanups: (() => void)[] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;
  #receivedAt = Date.now();

  constructor(interrupt: () => void, settings: WatchSettings) {
    this.#interrupt = interrupt;
    this.#maxSilence = settings.maxSilence;
    this.#cleanups.push(
      onPageReturn((kind) => (kind === 'online' ? this.#end('online') : this.#expectHeartbeat())),
    );
    if (settings.releaseHidden) this.#cleanups.push(onPageHidden(() => this.#end('hidden')));
    this.received();
    if (settings.releaseHidden && isHidden()) this.#end('hidden');
  }

  /** Data was received. */
  received(): void {
    if (this.reason) return;
    this.#receivedAt = Date.now();
    this.#limit(this.#maxSilence);
  }

  /** The silence does not count until the next call of `received`. */
  pause(): void {
    clearTimeout(this.#timer);
  }

  close(): void {
    clearTimeout(this.#timer);
    for (const cleanup of this.#cleanups.splice(0)) cleanup();
  }

  /** After a pause of the page, one missed heartbeat is enough; `maxSilence` is three. */
  #expectHeartbeat(): void {
    this.#limit(this.#maxSilence / 2);
  }

  #limit(silence: number): void {
    clearTimeout(this.#timer);
    const left = silence - (Date.now() - this.#receivedAt);
    if (left <= 0) this.#end('silent');
    else this.#timer = setTimeout(() => this.#end('silent'), left);
  }

  #end(reason: 'silent' | 'online' | 'hidden'): void {
    this.reason ??= reason;
    this.close();
    this.#interrupt();
  }
}
