// Stores each chat as a JSON file. An application uses its database instead: each function is one transaction.

import type { UIMessage } from 'ai';
import { randomUUID } from 'node:crypto';
import { mkdir, readdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

const FOLDER = process.env.DATA_FOLDER ?? 'data';

export type Message = UIMessage<{ mamba?: { finishedAt?: string | null } }>;

export interface StoredChat {
  id: string;
  user: string;
  messages: Message[];
  /** The IDs of the messages that the page has shown last, in their order. */
  shown: string[];
  /** The IDs of the webhooks that were stored. */
  webhooks: string[];
}

export async function createChat(user: string): Promise<string> {
  const id = randomUUID();
  await mkdir(FOLDER, { recursive: true });
  await write({ id, user, messages: [], shown: [], webhooks: [] });
  return id;
}

export async function readChat(id: string): Promise<StoredChat | null> {
  // A longer name could not be a file's, and Mamba would repeat its webhooks for a day.
  if (!/^[\w-]{1,64}$/.test(id)) return null;
  try {
    return JSON.parse(await readFile(pathOf(id), 'utf8')) as StoredChat;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}

export async function chatsOf(user: string): Promise<StoredChat[]> {
  const names = await readdir(/* turbopackIgnore: true */ FOLDER).catch(() => []);
  const chats = await Promise.all(names.filter((name) => name.endsWith('.json')).map((name) => readChat(name.slice(0, -5))));
  return chats.filter((chat) => chat !== null).filter((chat) => chat.user === user);
}

/** Returns the messages in the order of the page. Answers that it has not shown yet are the last ones. */
export function messagesOf({ messages, shown }: StoredChat): Message[] {
  const position = ({ id }: Message) => (shown.includes(id) ? shown.indexOf(id) : shown.length);
  return messages.toSorted((a, b) => position(a) - position(b));
}

/** Stores the user's messages, their order, and which messages were removed. Answers come from Mamba only. */
export function storePage(id: string, page: Message[]): Promise<void> {
  return update(id, (chat) => {
    const shown = page.map((message) => message.id);
    const sent = page.filter((message) => message.role === 'user');
    const replaced = new Set([...chat.shown.filter((old) => !shown.includes(old)), ...sent.map((message) => message.id)]);
    chat.messages = [...sent, ...chat.messages.filter((message) => !replaced.has(message.id))];
    chat.shown = shown;
  });
}

/** Stores an answer once. Webhooks can arrive twice, and an older version of a message after a newer one. */
export function storeAnswer(id: string, webhookId: string, answer: Message): Promise<void> {
  return update(id, (chat) => {
    if (chat.webhooks.includes(webhookId)) return;
    chat.webhooks.push(webhookId);
    const index = chat.messages.findIndex((message) => message.id === answer.id);
    const stored = chat.messages[index];
    if (!stored) chat.messages.push(answer);
    else if (finishedAt(stored) <= finishedAt(answer)) chat.messages[index] = answer;
  });
}

const finishedAt = ({ metadata }: Message) => Date.parse(metadata?.mamba?.finishedAt ?? '') || 0;

const pathOf = (id: string) => join(FOLDER, `${id}.json`);

/** Changes run one after another, in one process. Next.js can load this module more than once. */
const changes = globalThis as { storeChanges?: Promise<void> };

function update(id: string, change: (chat: StoredChat) => void): Promise<void> {
  const changed = (changes.storeChanges ?? Promise.resolve()).then(async () => {
    const chat = await readChat(id);
    if (!chat) return;
    change(chat);
    await write(chat);
  });
  changes.storeChanges = changed.catch(() => {});
  return changed;
}

async function write(chat: StoredChat): Promise<void> {
  const path = pathOf(chat.id);
  await writeFile(`${path}.new`, JSON.stringify(chat));
  await rename(`${path}.new`, path);
}
