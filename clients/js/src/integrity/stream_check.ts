import { IntegrityError } from '../errors.js';
import type { SseEvent } from '../connection/sse_parser.js';
import type { RunMetadata, StreamChunk } from '../types.js';
import { AnswerDigest } from './answer_digest.js';

/** The offset of an event, the run that the client follows, and the run that wrote a replayed event. */
const CURSOR = /^\d+-(\d+)@([\w-]+)(?:\/([\w-]+))?$/;
/** The types of the chunk that ends an answer. */
export const TERMINAL = ['finish', 'abort', 'error'];

/**
 * Checks that a stream has every event of its run exactly once and in order, and that the answer has
 * the digest that the server computed.
 */
export class StreamCheck {
  readonly #isReplay: boolean;
  #offset: number;
  /** Undefined if this client does not receive the whole run. */
  #digest: AnswerDigest | undefined;
  #metadata: RunMetadata | undefined;

  /** `cursor` is the id of the event before the first one; a stream without it begins with `start`. */
  constructor(cursor: string | undefined, isReplay: boolean) {
    this.#isReplay = isReplay;
    this.#offset = offsetOf(cursor) ?? 0;
    this.#digest = this.#offset === 0 ? new AnswerDigest() : undefined;
  }

  /** Throws an `IntegrityError` if the event does not follow the previous one. */
  accept(event: SseEvent, chunk: StreamChunk | undefined): void {
    const offset = offsetOf(event.id);
    if (offset === undefined) return;
    this.#advance(event.from ?? offset, offset);
    if (chunk) this.#record(chunk);
  }

  /** The event has the offsets from `first` to `last`. */
  #advance(first: number, last: number): void {
    if (this.#isReplay && this.#offset === 1 && first > 2) {
      // A replay leaves out responses to calls of an earlier run that is no longer stored.
      this.#digest = undefined;
    } else if (first !== this.#offset + 1) {
      throw new IntegrityError('gap', `Expected event ${this.#offset + 1} of the answer, received ${first}.`);
    }
    this.#offset = last;
  }

  #record(chunk: StreamChunk): void {
    this.#digest?.add(chunk);
    this.#metadata = { ...this.#metadata, ...mambaMetadata(chunk) };
    if (TERMINAL.includes(chunk.type)) this.#compare(this.#metadata);
  }

  #compare({ events, digest }: RunMetadata): void {
    if (typeof events === 'number' && events !== this.#offset) {
      throw new IntegrityError('gap', `The answer has ${events} events, received ${this.#offset}.`);
    }
    if (typeof digest === 'string' && this.#digest && digest !== this.#digest.value()) {
      throw new IntegrityError('digest', 'The received answer differs from the one that the server sent.');
    }
  }
}

function mambaMetadata(chunk: StreamChunk): RunMetadata | undefined {
  return (chunk.messageMetadata as { mamba?: RunMetadata } | undefined)?.mamba;
}

/** The offset in the run; undefined for queue positions and for replayed parts of earlier runs. */
function offsetOf(id: string | undefined): number | undefined {
  const match = id === undefined ? null : CURSOR.exec(id);
  if (!match) return undefined;
  const [, offset, run, source = run] = match;
  return source === run ? Number(offset) : undefined;
}

/** The earlier run of the message that wrote a replayed event. */
export function replayedRun(id: string): string | undefined {
  return CURSOR.exec(id)?.[3];
}
