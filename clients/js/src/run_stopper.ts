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

/** A request that the server has accepted, or whose response was lost. */
export interface AcceptedRun {
  /** Undefined for the chat's live run. */
  runId?: string | undefined;
}

/** Stops runs. The next request for the same chat waits until the run has ended. */
export class RunStopper {
  readonly #settings: ConnectionSettings;
  readonly #pending = new Map<string, Promise<unknown>>();

  constructor(settings: ConnectionSettings) {
    this.#settings = settings;
  }

  /** Resolves when the run has ended. `accepted` is undefined if the server refused the request. */
  stop(target: StopTarget, accepted: Promise<AcceptedRun | undefined>, options: StopOptions = {}): Promise<void> {
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
    accepted: Promise<AcceptedRun | undefined>,
    { queued = false }: StopOptions,
  ): Promise<void> {
    // A request that arrives after the stop would start a run.
    const run = await accepted;
    if (!run) return;
    let url = chatUrl(api, chatId, 'stop');
    if (queued) url = withQuery(url, 'queued=true');
    if (run.runId) url = withQuery(url, `runId=${encodeURIComponent(run.runId)}`);
    const request = { ...init, method: 'POST', keepalive: true };
    const { signal } = new AbortController();
    const response = await send({ url, init: request, signal }, this.#settings, () => {});
    if (!response.ok && response.status !== 404) throw await ProblemError.from(response);
    await response.body?.cancel();
  }
}
