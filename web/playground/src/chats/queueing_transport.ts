import { MambaChatTransport, type Connection, type MambaChatTransportOptions } from '@mamba-server/client';
import type { Message } from './message';

interface Held {
  stream: Promise<ReadableStream>;
  abort: AbortController;
}

type SendOptions = Parameters<MambaChatTransport<Message>['sendMessages']>[0];

/**
 * Sends messages while an answer is being written: the server queues their runs (`whenBusy: 'queue'`). The
 * page shows the answer of such a run when the AI SDK sends its message.
 */
export class QueueingTransport extends MambaChatTransport<Message> {
  /** Requests of the queued messages, by the id of the message. */
  readonly #held = new Map<string, Held>();
  readonly #queue: MambaChatTransport<Message>;

  constructor(options: MambaChatTransportOptions) {
    super(options);
    this.#queue = new MambaChatTransport<Message>({ ...options, whenBusy: 'queue' });
  }

  /** Sends the last message. Resolves when the server has accepted it. */
  async enqueue(chatId: string, messages: Message[], body: object): Promise<void> {
    const id = messages.at(-1)!.id;
    const abort = new AbortController();
    const request = { chatId, messages, body, trigger: 'submit-message', messageId: undefined } as const;
    const stream = this.#queue.sendMessages({ ...request, abortSignal: abort.signal });
    this.#held.set(id, { stream, abort });
    await stream.catch((error: unknown) => {
      this.#held.delete(id);
      throw error;
    });
  }

  /** Whether this page has sent the message. A reloaded page does not hold its request. */
  holds(id: string): boolean {
    return this.#held.has(id);
  }

  /** Stops the run of a queued message. */
  cancel(id: string): void {
    this.#held.get(id)?.abort.abort();
    this.#held.delete(id);
  }

  override async sendMessages(options: SendOptions): Promise<ReadableStream> {
    const id = options.messages.at(-1)?.id;
    const held = id === undefined ? undefined : this.#held.get(id);
    if (!held || id === undefined) return super.sendMessages(options);
    this.#held.delete(id);
    options.abortSignal?.addEventListener('abort', () => held.abort.abort());
    return held.stream;
  }

  override release(chatId?: string): void {
    super.release(chatId);
    this.#queue.release(chatId);
  }

  /** The connection of the answer that the page shows. */
  readonly shownConnection = (chatId: string): Connection => {
    const own = this.connection(chatId);
    return own.state === 'idle' ? this.#queue.connection(chatId) : own;
  };

  readonly subscribeShown = (listener: () => void): (() => void) => {
    const stops = [this.subscribe(listener), this.#queue.subscribe(listener)];
    return () => stops.forEach((stop) => stop());
  };
}
