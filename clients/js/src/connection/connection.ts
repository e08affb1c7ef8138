import type { QueuePosition } from '../types.js';

/** The state of a chat's connection to the server. */
export type Connection =
  /** No answer is being received. */
  | { state: 'idle' }
  /** The request was sent, and the server has not responded yet. */
  | { state: 'connecting' }
  | { state: 'live' }
  /** The run waits for a worker, or for earlier runs of its chat. */
  | ({ state: 'queued' } & QueuePosition)
  /** The connection broke. `attempt` counts from 1; attempts while the browser is offline do not count. */
  | { state: 'retrying'; attempt: number; offline: boolean };

export const IDLE: Connection = { state: 'idle' };

export type ReportConnection = (connection: Connection) => void;

/** The connections of the chats, for `useSyncExternalStore`. */
export class ConnectionStore {
  readonly #connections = new Map<string, Connection>();
  readonly #listeners = new Set<() => void>();

  get(chatId: string): Connection {
    return this.#connections.get(chatId) ?? IDLE;
  }

  set(chatId: string, connection: Connection): void {
    if (connection.state === 'idle') this.#connections.delete(chatId);
    else this.#connections.set(chatId, connection);
    for (const listener of this.#listeners) listener();
  }

  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}
