import { RunError } from './errors.js';
import type { AnswerEvent } from './connection/resumable_stream.js';
import type { RunErrorData, StreamChunk } from './types.js';

/** Converts the events of an answer to the chunks that the AI SDK consumes. */
export class ChatStream {
  readonly #events: AsyncGenerator<AnswerEvent[]>;
  /** The names of the tool calls whose input is incomplete. */
  readonly #openInputs = new Map<string, string>();
  #runError: RunErrorData | undefined;

  constructor(events: AsyncGenerator<AnswerEvent[]>) {
    this.#events = events;
  }

  /** `onEnd` is called when the answer is complete or has failed, but not if the stream is cancelled. */
  readable(onEnd: () => void, cancel: (reason: unknown) => void): ReadableStream<StreamChunk> {
    const chunks = this.#chunks();
    return new ReadableStream(
      {
        async pull(controller) {
          try {
            const { done, value } = await chunks.next();
            if (!done) return controller.enqueue(value);
            onEnd();
            controller.close();
          } catch (error) {
            onEnd();
            controller.error(error);
          }
        },
        async cancel(reason) {
          cancel(reason);
          await chunks.return(undefined).catch(() => {});
        },
      },
      { highWaterMark: 0 },
    );
  }

  async *#chunks(): AsyncGenerator<StreamChunk> {
    try {
      for await (const events of this.#events) {
        for (const { chunk } of events) {
          if (!chunk) continue;
          this.#note(chunk);
          yield chunk;
        }
      }
    } catch (error) {
      yield* this.#closeInputs();
      throw error;
    }
  }

  #note(chunk: StreamChunk): void {
    const call = chunk.toolCallId as string;
    switch (chunk.type) {
      case 'tool-input-start':
        this.#openInputs.set(call, chunk.toolName as string);
        break;
      case 'tool-input-available':
      case 'tool-input-error':
      case 'tool-output-available':
      case 'tool-output-error':
      case 'tool-output-denied':
        this.#openInputs.delete(call);
        break;
      case 'data-error':
        this.#runError = chunk.data as RunErrorData;
        break;
      case 'error':
        throw new RunError(chunk.errorText as string, this.#runError);
    }
  }

  /**
   * The AI SDK 5 and 6 resume a message with incomplete input from its last part, but a resumed stream
   * has the whole message.
   */
  *#closeInputs(): Generator<StreamChunk> {
    for (const [toolCallId, toolName] of this.#openInputs) {
      yield { type: 'tool-input-error', toolCallId, toolName, input: null, errorText: 'Not received completely.' };
    }
  }
}
