/** What the page has received of one run, derived from the ids of the events: `attempt-offset@run`. */

import { AnswerDigest, type RunMetadata, type StreamChunk } from '@mamba-server/client';

export type EntryKind = 'start' | 'attempt' | 'lost' | 'resumed' | 'action' | 'done' | 'failed';

/** A line of the timeline. */
export interface Entry {
  kind: EntryKind;
  /** Milliseconds since the start of the recording. */
  at: number;
  text: string;
  /** Milliseconds without an event before this entry. */
  pause?: number;
}

export interface RecordedEvent {
  id: string;
  /** The offset of the first event that the server merged into this one. */
  from: number | undefined;
  chunk: StreamChunk;
}

/** The id of an event. `source` is the run that wrote a replayed event. */
const ID = /^(\d+)-(\d+)@([\w-]+)(?:\/([\w-]+))?$/;
const TERMINAL = ['finish', 'abort', 'error'];

export class RunRecording {
  readonly runId: string;
  /** The body of the request that started the run; undefined if it was sent before this page was loaded. */
  readonly request: string | undefined;
  readonly entries: Entry[] = [];
  /** The number of the attempt that wrote the newest event. Each attempt fences the previous one. */
  attempt = 0;
  offset = 0;
  received = 0;
  lost = 0;
  repeated = 0;
  longestPause = 0;
  digest: 'verified' | 'different' | undefined;
  ended = false;
  readonly #startedAt = performance.now();
  readonly #hash = new AnswerDigest();
  #metadata: RunMetadata = {};
  #lastEventAt = performance.now();

  constructor(runId: string, request: string | undefined) {
    this.runId = runId;
    this.request = request;
  }

  add(kind: EntryKind, text: string, pause?: number): void {
    const at = performance.now() - this.#startedAt;
    this.entries.push({ kind, at, text, ...(pause !== undefined && { pause }) });
  }

  /** Records an event. Returns whether it belongs to this run. */
  accept({ id, from, chunk }: RecordedEvent): boolean {
    const [, attempt, offset, run, source = run] = ID.exec(id) ?? [];
    if (run !== this.runId) return false;
    if (source === run) this.#count(Number(attempt), from ?? Number(offset), Number(offset), chunk);
    return true;
  }

  /** The event has the offsets from `first` to `offset`. */
  #count(attempt: number, first: number, offset: number, chunk: StreamChunk): void {
    const now = performance.now();
    const pause = Math.round(now - this.#lastEventAt);
    this.#lastEventAt = now;
    if (this.offset && pause > this.longestPause) this.longestPause = pause;
    this.repeated += Math.max(0, Math.min(offset, this.offset) - first + 1);
    if (offset <= this.offset) return;
    this.lost += Math.max(0, first - this.offset - 1);
    this.received += offset - Math.max(first, this.offset + 1) + 1;
    if (attempt !== this.attempt) this.#startAttempt(attempt, first, pause);
    this.offset = offset;
    this.#hash.add(chunk);
    this.#metadata = { ...this.#metadata, ...metadataOf(chunk) };
    if (TERMINAL.includes(chunk.type)) this.#end(chunk.type);
  }

  #startAttempt(attempt: number, offset: number, pause: number): void {
    const text = this.attempt
      ? `Attempt ${attempt} continues at event ${offset}. Events of attempt ${this.attempt} are now rejected.`
      : `Attempt ${attempt} writes the answer.`;
    this.add('attempt', text, this.attempt ? pause : undefined);
    this.attempt = attempt;
  }

  #end(type: string): void {
    const { events, digest } = this.#metadata;
    this.ended = true;
    if (typeof digest === 'string') this.digest = digest === this.#hash.value() ? 'verified' : 'different';
    if (typeof events === 'number') this.lost += Math.max(0, events - this.offset);
    this.add(type === 'error' ? 'failed' : 'done', this.summary);
  }

  /** The id of the newest event. */
  get cursor(): string {
    return `${this.attempt}-${this.offset}@${this.runId}`;
  }

  /** Such as `412 events, 0 lost, 0 repeated, digest verified`. */
  get summary(): string {
    const digest = this.digest && `, digest ${this.digest}`;
    return `${this.received} events, ${this.lost} lost, ${this.repeated} repeated${digest ?? ''}`;
  }
}

function metadataOf(chunk: StreamChunk): RunMetadata | undefined {
  return (chunk.messageMetadata as { mamba?: RunMetadata } | undefined)?.mamba;
}
