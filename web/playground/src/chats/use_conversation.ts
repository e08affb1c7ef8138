/** The state of one chat: `useChat`, storage, titles, and queued messages. */

import { useChat } from '@ai-sdk/react';
import { ConnectionLostError } from '@mamba-server/client';
import {
  generateId, isFileUIPart, lastAssistantMessageIsCompleteWithApprovalResponses, lastAssistantMessageIsCompleteWithToolCalls,
  type FileUIPart,
} from 'ai';
import { useCallback, useEffect, useLayoutEffect, useRef, useState, useSyncExternalStore } from 'react';
import { CHAT_URL, generateTitle, network, timeline } from '../server';
import { UNTITLED, type Chat, type ChatStore } from './chat_store';
import { CLIENT_TOOLS, executeClientTool } from './client_tools';
import { textOf, type Message } from './message';
import { QueueingTransport } from './queueing_transport';

const DISPLAY_TOOLS = ['generateForm', 'generateChart', 'generateCode', 'generateCard'];
/** Each queued message has an open connection, and a browser opens at most six to a server. */
export const MAX_QUEUED = 3;

export type Conversation = ReturnType<typeof useConversation>;

/** `tools` is whether the agent uses the display tools of a request. */
export function useConversation(chat: Chat, store: ChatStore, tools: boolean) {
  const settings = useRef({ chat, tools });
  settings.current = { chat, tools };
  const [transport] = useState(
    () => new QueueingTransport({ api: CHAT_URL, fetch: network.fetch, body: () => bodyOf(settings.current) }),
  );
  const [notice, setNotice] = useState('');
  const read = () => transport.shownConnection(chat.id);
  const connection = useSyncExternalStore(transport.subscribeShown, read);
  const [initial] = useState(() => ({ messages: store.messages(chat.id), resume: chat.pending }));
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
  const state = useRef({ messages, busy });
  state.current = { messages, busy };

  // Messages are sent only after the response to the resume, which would otherwise follow their run.
  const [isResumed, setResumed] = useState(!initial.resume);
  const isReady = isResumed || status === 'streaming';
  const resume = useCallback(() => {
    setResumed(false);
    void resumeStream().finally(() => setResumed(true));
  }, [resumeStream]);
  useEffect(() => {
    if (initial.resume) resume();
  }, [initial, resume]);

  const titled = useRef(chat.title !== UNTITLED);

  // The answer continues when the user leaves this chat.
  useLayoutEffect(() => () => transport.release(chat.id), [transport, chat.id]);

  const pending = busy || error instanceof ConnectionLostError;
  const isResuming = useRef(initial.resume);
  useEffect(() => {
    // Until the resume has begun, the state is not known.
    if (isResuming.current && !pending) return void (isResuming.current = false);
    store.update(chat.id, { pending });
  }, [pending, store, chat.id]);

  // While an answer streams, the server has it; a reload replays it from its start.
  useEffect(() => {
    if (status !== 'streaming') store.saveMessages(chat.id, messages);
  }, [messages, status, store, chat.id]);

  // Another tab has sent a message, or has received an answer.
  useEffect(
    () =>
      store.onMessages(chat.id, () => {
        if (state.current.busy) return;
        setMessages(store.messages(chat.id));
        if (store.find(chat.id)?.pending) void resumeStream();
      }),
    [store, chat.id, setMessages, resumeStream],
  );

  useEffect(() => {
    const [user, answer] = messages;
    if (titled.current || status !== 'ready' || !user || !answer) return;
    titled.current = true;
    void generateTitle(textOf(user) || 'Files').then((title) => store.update(chat.id, { title }), () => {});
  }, [chat.id, messages, status, store]);

  // The server has started the next run; the page shows it when this answer is complete. Only one tab does.
  const isFirst = useIsFirstTab(chat.id);
  useEffect(() => {
    const [next, ...queued] = chat.queued;
    if (busy || !isResumed || !isFirst || !next) return;
    store.update(chat.id, { queued });
    if (transport.holds(next.id)) return void sendMessage(next);
    setMessages([...state.current.messages, next]);
    resume();
  }, [busy, isResumed, isFirst, chat, store, transport, sendMessage, setMessages, resume]);

  async function send(text: string, files: FileUIPart[] = []): Promise<void> {
    setNotice('');
    const parts: Message['parts'] = [...files, ...(text ? [{ type: 'text' as const, text }] : [])];
    const message: Message = { id: generateId(), role: 'user', parts };
    if (!busy) return sendMessage(message);
    const history = [...state.current.messages, ...chat.queued, message];
    store.update(chat.id, { queued: [...chat.queued, message] });
    try {
      await transport.enqueue(chat.id, history, bodyOf(settings.current));
    } catch (problem) {
      cancelQueued(message.id);
      setNotice(problem instanceof Error ? problem.message : String(problem));
    }
  }

  function cancelQueued(id: string): void {
    transport.cancel(id);
    const current = store.find(chat.id)?.queued ?? [];
    store.update(chat.id, { queued: current.filter((message) => message.id !== id) });
  }

  /** Stops the run. Its stream then ends with what was written. */
  async function stop(): Promise<void> {
    timeline.add(chat.id, 'action', 'You stopped the answer.');
    await transport.stop(chat.id).catch(() => session.stop());
  }

  function retry(): void {
    clearError();
    // The run may still be live: resume it, and never replace it.
    const isLost = error instanceof ConnectionLostError && messages.at(-1)?.role === 'assistant';
    void (isLost ? resumeStream() : regenerate({ body: { whenBusy: 'reject' } }));
  }

  function edit(messageId: string, text: string): void {
    const files = messages.find(({ id }) => id === messageId)?.parts.filter(isFileUIPart) ?? [];
    void sendMessage({ parts: [...files, { type: 'text', text }], messageId });
  }

  return { ...session, busy, isReady, connection, notice, send, stop, edit, retry, cancelQueued };
}

/** Whether this tab is the first one that shows the chat. Pages that are not secure contexts cannot compare tabs. */
function useIsFirstTab(chatId: string): boolean {
  const [isFirst, setFirst] = useState(!('locks' in navigator));
  useEffect(() => {
    if (!('locks' in navigator)) return;
    const closed = new AbortController();
    const { signal } = closed;
    const hold = () => new Promise((resolve) => {
      setFirst(true);
      signal.addEventListener('abort', resolve);
    });
    navigator.locks.request(`mamba.playground.chat.${chatId}`, { signal }, hold).catch(() => {});
    return () => closed.abort();
  }, [chatId]);
  return isFirst;
}

function bodyOf({ chat, tools }: { chat: Chat; tools: boolean }): object {
  return {
    ...(chat.agent && { agent: chat.agent }),
    ...(chat.model && { model: chat.model }),
    ...(tools && { tools: DISPLAY_TOOLS }),
    clientTools: CLIENT_TOOLS,
    sdkVersion: 7,
  };
}
