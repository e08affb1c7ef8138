import { ProblemError } from './errors.js';
import { send } from './connection/request.js';
import { chatUrl, withQuery, type ConnectionSettings } from './settings.js';

export interface StopOptions {
  /** Whether to end the runs that wait in the chat's queue too. Default false. */
  queued?: boolean;
}

export interface StopTarget {
  api: string;
  chatId: string;
  init: RequestInit;
}

/** Stops runs. The next request for the same chat waits until the run has ended. */
export class RunStopper {
  readonly #settings: ConnectionSettings;
  readonly #pending = new Map<string, Promise<unknown>>();

  constructor(settings: ConnectionSettings) {
    this.#settings = settings;
  }

  /** Resolves when the run has ended. `accepted` resolves when the server has accepted or refused it. */
  stop(target: StopTarget, accepted: Promise<boolean>, options: StopOptions = {}): Promise<void> {
    const stopping = this.#stop(target, accepted, options);
    const pending = stopping.catch(() => {}).then(() => {
      if (this.#pending.get(target.chatId) === pending) this.#pending.delete(target.chatId);
    });
    this.#pending.set(target.chatId, pending);
    return stopping;
  }

  /** Waits until the run of the chat that is being stopped has ended. */
  async settled(chatId: string): Promise<void> {
    await this.#pending.get(chatId);
  }

  async #stop(
    { api, chatId, init }: StopTarget,
    accepted: Promise<boolean>,
    { queued = false }: StopOptions,
  ): Promise<void> {
    // A request that arrives after the stop would start a run.
    if (!(await accepted)) return;
    const stopUrl = chatUrl(api, chatId, 'stop');
    const url = queued ? withQuery(stopUrl, 'queued=true') : stopUrl;
    const request = { ...init, method: 'POST', keepalive: true };
    const { signal } = new AbortController();
    const response = await send({ url, init: request, signal }, this.#settings, () => {});
    if (!response.ok && response.status !== 404) throw await ProblemError.from(response);
    await response.body?.cancel();
  }
}
