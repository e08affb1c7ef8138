import type { StreamChunk } from '../types.js';
import { canonicalJson } from './canonical_json.js';
import { sha256 } from './sha256.js';

/** Computes `messageMetadata.mamba.digest`: a hash of a run's text and tool results. */
export class AnswerDigest {
  readonly #texts: string[] = [];
  /** The tool call and the hash of each result. */
  readonly #results: [string, string][] = [];

  add(chunk: StreamChunk): void {
    if (chunk.type === 'text-delta') this.#texts.push(chunk.delta as string);
    if (chunk.type === 'tool-output-available' && !chunk.preliminary) this.#addResult(chunk, chunk.output);
    if (chunk.type === 'tool-output-error') this.#addResult(chunk, chunk.errorText);
  }

  value(): string {
    // The order of UTF-16 code units, which JavaScript compares.
    const sorted = [...this.#results].sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
    const results = sorted.map(([call, result]) => `\n${call} ${result}`);
    return `sha256:${hash(this.#texts.join('') + results.join(''))}`;
  }

  #addResult({ toolCallId }: StreamChunk, result: unknown): void {
    this.#results.push([toolCallId as string, hash(canonicalJson(result))]);
  }
}

function hash(text: string): string {
  return sha256(new TextEncoder().encode(text));
}
