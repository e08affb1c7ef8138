/** The chats of this browser. Mamba stores no conversations, so the page does. */

import { generateId } from 'ai';
import type { Message } from './message';

export interface Chat {
  id: string;
  title: string;
  agent: string;
  /** Empty: the default model. */
  model: string;
  /** Whether an answer was requested that this browser has not stored completely. */
  pending: boolean;
  /** Messages that wait for the answer that is being written. */
  queued: Message[];
}

const LIST_KEY = 'mamba.playground.chats';
const MESSAGES_KEY = 'mamba.playground.messages.';
const MAX_CHATS = 50;
export const UNTITLED = 'New chat';

export class ChatStore {
  #chats = read<Chat[]>(LIST_KEY, []);
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
    const chat = { id: generateId(), title: UNTITLED, agent: '', model: '', pending: false, queued: [], ...options };
    for (const { id } of this.#chats.slice(MAX_CHATS - 1)) localStorage.removeItem(MESSAGES_KEY + id);
    this.#save([chat, ...this.#chats.slice(0, MAX_CHATS - 1)]);
    return chat;
  }

  update(id: string, changes: Partial<Chat>): void {
    this.#save(this.#chats.map((chat) => (chat.id === id ? { ...chat, ...changes } : chat)));
  }

  remove(id: string): void {
    localStorage.removeItem(MESSAGES_KEY + id);
    this.#save(this.#chats.filter((chat) => chat.id !== id));
  }

  messages(id: string): Message[] {
    return read<Message[]>(MESSAGES_KEY + id, []);
  }

  saveMessages(id: string, messages: Message[]): void {
    write(MESSAGES_KEY + id, messages);
  }

  /** Calls the listener when another tab has changed the messages of a chat. */
  onMessages(id: string, listener: () => void): () => void {
    const check = ({ key }: StorageEvent) => {
      if (key === MESSAGES_KEY + id) listener();
    };
    addEventListener('storage', check);
    return () => removeEventListener('storage', check);
  }

  #save(chats: Chat[]): void {
    this.#chats = chats;
    write(LIST_KEY, chats);
    this.#notify();
  }

  #notify(): void {
    for (const listener of this.#listeners) listener();
  }
}

function read<T>(key: string, fallback: T): T {
  try {
    return JSON.parse(localStorage.getItem(key) ?? '') as T;
  } catch {
    return fallback;
  }
}

function write(key: string, value: unknown): void {
  try {
    localStorage.setItem(key, JSON.stringify(value));
  } catch {
    // The storage is full, for example with files. The page works without it until it is reloaded.
  }
}
