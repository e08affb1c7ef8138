// Two pages show a message whose tool call waits for a response, and both send one. The server accepts
// the first one. The other page then follows the run that continues the message.

import type { AnswerEvent } from './connection/resumable_stream.js';
import type { MambaError } from './errors.js';
import { replayedRun } from './integrity/stream_check.js';
import type { MambaMetadata } from './types.js';

/** A message that another page may have continued. */
export interface SharedMessage {
  id: string;
  /** The newest run that this page shows. */
  runId: string;
}

/** The codes with which the server refuses a response that is not the first one. */
const LATE = ['not_pending', 'run_in_progress'];

/** Returns the message that another page may have continued, if that can be why the server refused. */
export function messageContinuedElsewhere(refusal: MambaError, messages: unknown[]): SharedMessage | undefined {
  const last = messages.at(-1) as { id: string; role: string; metadata?: MambaMetadata } | undefined;
  const runId = last?.metadata?.mamba?.runId;
  if (!LATE.includes(refusal.code) || last?.role !== 'assistant' || runId === undefined) return undefined;
  return { id: last.id, runId };
}

/**
 * Yields what a replay of the chat's newest run adds to the message. Calls `verify` when the run starts with
 * the message, and throws the refusal if it does not continue the message.
 */
export async function* addedTo(
  message: SharedMessage,
  events: AsyncGenerator<AnswerEvent[]>,
  refusal: MambaError,
  verify: () => void,
): AsyncGenerator<AnswerEvent[]> {
  let isShown = false;
  let isNew = false;
  const adds = ({ id, chunk }: AnswerEvent): boolean => {
    if (isNew || id === undefined) return true;
    const isStart = chunk?.type === 'start';
    if (isStart && chunk.messageId === message.id) {
      verify();
      return true;
    }
    const run = replayedRun(id);
    if (isStart || (run === undefined && !isShown)) throw refusal;
    isNew = isShown && run !== message.runId;
    isShown ||= run === message.runId;
    return isNew;
  };
  for await (const batch of events) yield batch.filter(adds);
}
