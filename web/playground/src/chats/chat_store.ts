/** The chats of this browser. Mamba stores no conversations, so the page does. */

import { generateId } from 'ai';
import type { Message } from './message';
import { MessageQueue } from './message_queue';
import { read, write } from './storage';

export interface Chat {
  id: string;
  title: string;
  agent: string;
  /** Empty: the default model. */
  model: string;
  /** The run whose answer this browser has not stored completely. */
  runId?: string | undefined;
}

export interface StoredConversation {
  messages: Message[];
  /** When the user last sent or changed a message, in Unix milliseconds. */
  changedAt: number;
}

const LIST_KEY = 'mamba.playground.chats';
const CONVERSATION_KEY = 'mamba.playground.conversation.';
const MAX_CHATS = 50;
/** The newest run of a chat whose id is not known. */
export const NEWEST_RUN = 'newest';
export const UNTITLED = 'New chat';

export class ChatStore {
  readonly queue = new MessageQueue();
  #chats = read<Chat[]>(LIST_KEY, []);
  #isStored = true;
  readonly #listeners = new Set<() => void>();

  constructor() {
    // Another tab has changed the list.
    addEventListener('storage', ({ key }) => {
      if (key !== LIST_KEY) return;
      this.#chats = read<Chat[]>(LIST_KEY, []);
      this.#notify();
    });
  }

  /** The chats, newest first. */
  readonly list = (): readonly Chat[] => this.#chats;

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  find(id: string): Chat | undefined {
    return this.#chats.find((chat) => chat.id === id);
  }

  create(options: Partial<Chat> = {}): Chat {
    const chat = { id: generateId(), title: UNTITLED, agent: '', model: '', ...options };
    this.#change((chats) => {
      for (const { id } of chats.slice(MAX_CHATS - 1)) this.#forget(id);
      return [chat, ...chats.slice(0, MAX_CHATS - 1)];
    });
    return chat;
  }

  update(id: string, changes: Partial<Chat>): void {
    this.#change((chats) => chats.map((chat) => (chat.id === id ? { ...chat, ...changes } : chat)));
  }

  remove(id: string): void {
    this.#forget(id);
    this.#change((chats) => chats.filter((chat) => chat.id !== id));
  }

  conversation(id: string): StoredConversation {
    return read(CONVERSATION_KEY + id, { messages: [], changedAt: 0 });
  }

  saveConversation(id: string, conversation: StoredConversation): void {
    write(CONVERSATION_KEY + id, conversation);
  }

  /** Calls the listener when another tab has changed the messages of a chat. */
  onConversation(id: string, listener: () => void): () => void {
    const check = ({ key }: StorageEvent) => {
      if (key === CONVERSATION_KEY + id) listener();
    };
    addEventListener('storage', check);
    return () => removeEventListener('storage', check);
  }

  /** Another tab may have changed the list, although its event has not arrived. */
  #change(changed: (chats: Chat[]) => Chat[]): void {
    this.#chats = changed(this.#isStored ? read(LIST_KEY, this.#chats) : this.#chats);
    this.#isStored = write(LIST_KEY, this.#chats);
    this.#notify();
  }

  #forget(id: string): void {
    localStorage.removeItem(CONVERSATION_KEY + id);
    this.queue.clear(id);
  }

  #notify(): void {
    for (const listener of this.#listeners) listener();
  }
}

/** Whether `one` is a later state of the conversation than `other`. */
export function isNewer(one: StoredConversation, other: StoredConversation): boolean {
  if (one.changedAt !== other.changedAt) return one.changedAt > other.changedAt;
  return one.messages.length > other.messages.length;
}
