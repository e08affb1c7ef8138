/** The recordings of the chats, for `useSyncExternalStore`. */

import { RunRecording, type EntryKind, type RecordedEvent } from './run_recording';

export class Timeline {
  /** Grows with each change. */
  version = 0;
  /** The recordings of each chat, oldest first. */
  readonly #chats = new Map<string, RunRecording[]>();
  readonly #listeners = new Set<() => void>();
  #notifying = false;

  recordings(chatId: string): readonly RunRecording[] {
    return this.#chats.get(chatId) ?? [];
  }

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  /**
   * Records that a stream of a run has opened: as the response to a request with this body, or from a cursor. Without
   * a cursor, it begins with the first event.
   */
  opened(chatId: string, runId: string, { body, cursor }: { body?: string | undefined; cursor?: string | undefined }): void {
    const known = this.recordings(chatId).find((recording) => recording.runId === runId);
    const isReplay = cursor === undefined || (cursor.startsWith('0-0@') && known?.offset !== 0);
    if (known && !isReplay) known.add('resumed', `Reconnected with cursor ${cursor.split('@')[0]}.`);
    else this.#start(chatId, runId, body ?? known?.request, body ? 'The server accepted the request.' : 'Replay of the stream from event 1.');
    this.#notify();
  }

  event(chatId: string, event: RecordedEvent): void {
    this.recordings(chatId).some((recording) => recording.accept(event));
    this.#notify();
  }

  /** Adds an entry to a run, by default to the newest one. */
  add(chatId: string, kind: EntryKind, text: string, runId?: string): void {
    const recordings = this.recordings(chatId);
    const recording = recordings.findLast((recording) => !runId || recording.runId === runId);
    recording?.add(kind, text);
    this.#notify();
  }

  #start(chatId: string, runId: string, request: string | undefined, text: string): void {
    const recording = new RunRecording(runId, request);
    recording.add('start', `${text} Run ${runId.slice(0, 8)}.`);
    const others = this.recordings(chatId).filter((other) => other.runId !== runId);
    this.#chats.set(chatId, [...others, recording]);
  }

  /** Notifies the listeners once per frame: an answer has many events. */
  #notify(): void {
    if (this.#notifying) return;
    this.#notifying = true;
    setTimeout(() => {
      this.#notifying = false;
      this.version += 1;
      for (const listener of this.#listeners) listener();
    }, 16);
  }
}
