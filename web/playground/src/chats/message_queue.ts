/** Messages whose runs wait for the chat's live run, for all tabs of this browser. */

import { MambaChatTransport, type MambaChatTransportOptions } from '@mamba-server/client';
import type { Message } from './message';
import { read, write } from './storage';

export interface QueuedMessage {
  message: Message;
  runId: string;
  /** When the server accepted it, in Unix milliseconds. */
  acceptedAt: number;
}

const KEY = 'mamba.playground.queued.';

/** Each message has a key, so that tabs that add and remove messages do not overwrite each other's list. */
export class MessageQueue {
  readonly #chats = new Map<string, readonly QueuedMessage[]>();
  readonly #listeners = new Set<() => void>();

  constructor() {
    addEventListener('storage', ({ key }) => {
      if (!key?.startsWith(KEY)) return;
      this.#chats.delete(chatOf(key));
      this.#notify();
    });
  }

  /** The messages of a chat, in the order of their runs. */
  list(chatId: string): readonly QueuedMessage[] {
    const known = this.#chats.get(chatId);
    if (known) return known;
    const keys = Object.keys(localStorage).filter((key) => key.startsWith(KEY) && chatOf(key) === chatId);
    const stored = keys.flatMap((key) => read<QueuedMessage | undefined>(key, undefined) ?? []);
    const sorted = stored.sort((a, b) => a.acceptedAt - b.acceptedAt);
    this.#chats.set(chatId, sorted);
    return sorted;
  }

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  /** Sends a message after those that `before` returns. Resolves when the server has accepted it. */
  async send(options: MambaChatTransportOptions, chatId: string, message: Message, before: () => Message[]): Promise<void> {
    await inTurn(chatId, async () => {
      const runId = await request(options, chatId, [...before(), message]);
      const queued = { message, runId, acceptedAt: Date.now() };
      write(keyOf(chatId, message.id), queued);
      this.#set(chatId, [...this.list(chatId), queued]);
    });
  }

  remove(chatId: string, messageId: string): void {
    localStorage.removeItem(keyOf(chatId, messageId));
    this.#set(chatId, this.list(chatId).filter(({ message }) => message.id !== messageId));
  }

  clear(chatId: string): void {
    for (const { message } of this.list(chatId)) localStorage.removeItem(keyOf(chatId, message.id));
    this.#set(chatId, []);
  }

  #set(chatId: string, messages: QueuedMessage[]): void {
    this.#chats.set(chatId, messages);
    this.#notify();
  }

  #notify(): void {
    for (const listener of this.#listeners) listener();
  }
}

function keyOf(chatId: string, messageId: string): string {
  return `${KEY}${encodeURIComponent(chatId)}/${messageId}`;
}

function chatOf(key: string): string {
  return decodeURIComponent(key.slice(KEY.length).split('/')[0]!);
}

/**
 * Sends one message of a chat at a time, over all tabs, so that the order in which they are accepted is known.
 * Pages that are not secure contexts have no locks.
 */
async function inTurn(chatId: string, send: () => Promise<void>): Promise<void> {
  if (!('locks' in navigator)) return send();
  await navigator.locks.request(`mamba.playground.send.${chatId}`, send);
}

/** Returns the id of the message's run. The page receives the answer later, so the connection is closed. */
async function request(options: MambaChatTransportOptions, chatId: string, messages: Message[]): Promise<string> {
  let runId = '';
  const noteRun: typeof fetch = async (input, init) => {
    const response = await options.fetch!(input, init);
    runId = response.headers.get('x-run-id') ?? '';
    return response;
  };
  const transport = new MambaChatTransport<Message>({ ...options, fetch: noteRun, whenBusy: 'queue' });
  const message = { trigger: 'submit-message', messageId: undefined, abortSignal: undefined } as const;
  const stream = await transport.sendMessages({ chatId, messages, ...message });
  await stream.cancel();
  return runId;
}
