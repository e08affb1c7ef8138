/** The state of one chat: `useChat`, storage, titles, and messages of several tabs. */

import { useChat } from '@ai-sdk/react';
import { ConnectionLostError, MambaChatTransport } from '@mamba-server/client';
import {
  generateId, isFileUIPart, isToolUIPart, lastAssistantMessageIsCompleteWithApprovalResponses,
  lastAssistantMessageIsCompleteWithToolCalls, type FileUIPart,
} from 'ai';
import { useCallback, useEffect, useLayoutEffect, useRef, useState, useSyncExternalStore } from 'react';
import { CHAT_URL, generateTitle, network, stopRun, timeline } from '../server';
import { isNewer, NEWEST_RUN, UNTITLED, type Chat, type ChatStore, type StoredConversation } from './chat_store';
import { CLIENT_TOOLS, executeClientTool } from './client_tools';
import { textOf, type Message } from './message';
import type { QueuedMessage } from './message_queue';

export type Conversation = ReturnType<typeof useConversation>;

/** Each request has these `fields`. */
export function useConversation(chat: Chat, store: ChatStore, fields: object) {
  const settings = useRef(fields);
  settings.current = fields;
  const [options] = useState(() => ({ api: CHAT_URL, fetch: network.fetch, body: () => ({ ...settings.current, clientTools: CLIENT_TOOLS }) }));
  const [transport] = useState(() => new MambaChatTransport<Message>({ ...options, fetch: fetchAnswer }));
  const [notice, setNotice] = useState('');
  const read = () => transport.connection(chat.id);
  const connection = useSyncExternalStore(transport.subscribe, read);
  const [initial] = useState(() => {
    const stored = store.conversation(chat.id);
    // A page that is reloaded before the response to its request does not know the run.
    return { ...stored, runId: chat.runId ?? (isAnswered(stored.messages) ? undefined : NEWEST_RUN) };
  });
  const session = useChat<Message>({
    id: chat.id,
    messages: initial.messages,
    transport,
    experimental_throttle: 40,
    sendAutomaticallyWhen: (state) =>
      lastAssistantMessageIsCompleteWithApprovalResponses(state) || lastAssistantMessageIsCompleteWithToolCalls(state),
    onToolCall: async ({ toolCall }) => {
      const result = await executeClientTool(toolCall);
      if (result) void session.addToolOutput(result as never);
    },
  });
  const { messages, status, error, sendMessage, setMessages, resumeStream, regenerate, clearError } = session;
  const busy = status === 'submitted' || status === 'streaming';
  const isLost = error instanceof ConnectionLostError;
  const state = useRef({ messages, busy });
  state.current = { messages, busy };

  /** The run that this tab has requested or followed last. */
  const shownRun = useRef<string | undefined>(undefined);
  /** Whether it follows a run that is not one of its own requests. The ref changes at once. */
  const [isFollowing, setFollowing] = useState(initial.runId !== undefined);
  const follows = useRef(isFollowing);
  const follow = useCallback(
    (runId: string, shown: Message[]) => {
      shownRun.current = runId;
      follows.current = true;
      setFollowing(true);
      // A request without a cursor also returns the earlier parts of a message that the run continues.
      const isNamed = runId !== NEWEST_RUN && shown.at(-1)?.role === 'user';
      void resumeStream(isNamed ? { headers: { 'last-event-id': `0-0@${runId}` } } : {}).finally(() => {
        follows.current = false;
        setFollowing(false);
      });
    },
    [resumeStream],
  );
  useEffect(() => {
    if (initial.runId) follow(initial.runId, initial.messages);
  }, [initial, follow]);
  // Messages are sent only after the response to the resume, which would otherwise follow their run.
  const isReady = !isFollowing || status === 'streaming';

  async function fetchAnswer(input: RequestInfo | URL, init: RequestInit = {}): Promise<Response> {
    const response = await network.fetch(input, init);
    const runId = answeredRun(response);
    if (!runId) return response;
    const isOwn = init.method === 'POST';
    const isNewest = shownRun.current === NEWEST_RUN;
    if (!isOwn && follows.current && !isNewest && runId !== shownRun.current) return noAnswer(response);
    shownRun.current = runId;
    if (isOwn || isNewest) store.update(chat.id, { runId });
    return response;
  }

  const titled = useRef(chat.title !== UNTITLED);

  // The answer continues when the user leaves this chat.
  useLayoutEffect(() => () => transport.release(chat.id), [transport, chat.id]);

  const readQueue = () => store.queue.list(chat.id);
  const queue = useSyncExternalStore(store.queue.subscribe, readQueue);
  const queued = queue.filter(({ message }) => !includes(messages, message));
  const [sending, setSending] = useState<Message[]>([]);

  const changedAt = useRef(initial.changedAt);
  // While an answer streams, the server has it; a reload replays it from its start.
  useEffect(() => {
    if (status !== 'submitted' || follows.current) return;
    const shown = state.current.messages;
    // Two tabs can decide about the same call, and both continue the message.
    if (shown.at(-1)?.role === 'user') changedAt.current = Date.now();
    store.saveConversation(chat.id, { messages: shown, changedAt: changedAt.current });
  }, [status, store, chat.id]);

  // Other tabs send messages too, and this one may be behind: the page of a hidden tab pauses.
  const adopt = useCallback(
    (stored: StoredConversation) => {
      changedAt.current = stored.changedAt;
      setMessages(stored.messages);
    },
    [setMessages],
  );
  useEffect(
    () => store.onConversation(chat.id, () => {
      if (state.current.busy || follows.current) return;
      const stored = store.conversation(chat.id);
      if (!isNewer({ messages: state.current.messages, changedAt: changedAt.current }, stored)) adopt(stored);
    }),
    [store, chat.id, adopt],
  );
  useEffect(() => {
    if (busy || follows.current || isLost) return;
    const stored = store.conversation(chat.id);
    if (isNewer(stored, { messages, changedAt: changedAt.current })) return adopt(stored);
    store.saveConversation(chat.id, { messages, changedAt: changedAt.current });
    for (const { message } of queue) if (includes(messages, message)) store.queue.remove(chat.id, message.id);
    const runId = store.find(chat.id)?.runId;
    if (runId && runId !== shownRun.current) return follow(runId, messages);
    if (runId) store.update(chat.id, { runId: undefined });
    // Each tab shows the queued messages in the order of their runs, also if the runs have ended.
    const next = queue.find(({ message }) => !includes(messages, message));
    if (!next) return;
    const shown = [...messages, next.message];
    store.saveConversation(chat.id, { messages: shown, changedAt: changedAt.current });
    store.update(chat.id, { runId: next.runId });
    setMessages(shown);
    follow(next.runId, shown);
  }, [messages, busy, isFollowing, isLost, queue, chat, store, adopt, follow, setMessages]);

  useEffect(() => {
    const [user, answer] = messages;
    if (titled.current || status !== 'ready' || !user || !answer) return;
    titled.current = true;
    void generateTitle(textOf(user) || 'Files').then((title) => store.update(chat.id, { title }), () => {});
  }, [chat.id, messages, status, store]);

  /** Returns whether the message is shown or queued. A refused one is neither. */
  async function send(text: string, files: FileUIPart[] = []): Promise<boolean> {
    setNotice('');
    const parts: Message['parts'] = [...files, ...(text ? [{ type: 'text' as const, text }] : [])];
    const message: Message = { id: generateId(), role: 'user', parts };
    if (!busy) {
      void sendMessage(message);
      return true;
    }
    setSending((others) => [...others, message]);
    try {
      await store.queue.send(options, chat.id, message, history);
      return true;
    } catch (problem) {
      showProblem(problem);
      return false;
    } finally {
      setSending((others) => others.filter(({ id }) => id !== message.id));
    }
  }

  /** The messages of this chat, with those that wait. */
  function history(): Message[] {
    const shown = state.current.messages;
    const waiting = store.queue.list(chat.id).map(({ message }) => message);
    return [...shown, ...waiting.filter((message) => !includes(shown, message))];
  }

  async function cancelQueued({ message, runId }: QueuedMessage): Promise<void> {
    store.queue.remove(chat.id, message.id);
    await stopRun(chat.id, runId).catch(showProblem);
  }

  function showProblem(problem: unknown): void {
    setNotice(problem instanceof Error ? problem.message : String(problem));
  }

  /** Stops the run. Its stream then ends with what was written. */
  async function stop(): Promise<void> {
    timeline.add(chat.id, 'action', 'You stopped the answer.');
    await transport.stop(chat.id).catch(() => session.stop());
  }

  function retry(): void {
    clearError();
    // The run may still be live: resume it, and never replace it.
    void (isLost && messages.at(-1)?.role === 'assistant' ? resumeStream() : regenerate({ body: { whenBusy: 'reject' } }));
  }

  function edit(messageId: string, text: string): void {
    const files = messages.find(({ id }) => id === messageId)?.parts.filter(isFileUIPart) ?? [];
    void sendMessage({ parts: [...files, { type: 'text', text }], messageId });
  }

  return { ...session, busy, isReady, connection, notice, queued, sending, send, stop, edit, retry, cancelQueued };
}

function includes(messages: Message[], message: Message): boolean {
  return messages.some(({ id }) => id === message.id);
}

/** Whether the last message needs no answer. */
function isAnswered(messages: Message[]): boolean {
  const last = messages.at(-1);
  if (last?.role === 'user') return false;
  return !last?.parts.some((part) => isToolUIPart(part) && part.state === 'approval-responded');
}

/** The id of the run whose answer the response streams. */
function answeredRun({ headers }: Response): string | null {
  return headers.get('content-type')?.startsWith('text/event-stream') ? headers.get('x-run-id') : null;
}

/** The response of the server to a resume of a chat without a run. */
function noAnswer({ body }: Response): Response {
  void body?.cancel();
  return new Response(null, { status: 204 });
}
