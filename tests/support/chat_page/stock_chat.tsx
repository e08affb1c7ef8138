// A page with the features of the documented Chat.tsx, as the AI SDK's documentation builds it without Mamba.

import { useChat } from '@ai-sdk/react';
import { DefaultChatTransport } from 'ai';
import type { UIMessage } from 'ai';
import { type FormEvent, useEffect, useState } from 'react';
import { isToolUIPart, lastAssistantMessageIsCompleteWithApprovalResponses } from 'ai'; // AI SDK 6
import { Approval } from './Approval'; // AI SDK 6
import { DisplayTool } from './stock_display_tool';

type Message = UIMessage;

export interface ChatProps {
  api: string;
  chatId: string;
  initialMessages: Message[];
  save: (messages: Message[]) => Promise<void>;
  authHeaders: () => Promise<Record<string, string>>;
  act: (name: string) => void;
}

export function Chat({ api, chatId, initialMessages, save, authHeaders, act }: ChatProps) {
  const [input, setInput] = useState('');
  const [files, setFiles] = useState<FileList>();

  const [transport] = useState(
    () =>
      new DefaultChatTransport<Message>({
        api,
        headers: authHeaders,
      }),
  );

  const chat = useChat<Message>({
    id: chatId,
    messages: initialMessages,
    transport,
    resume: true,
    sendAutomaticallyWhen: lastAssistantMessageIsCompleteWithApprovalResponses, // AI SDK 6
  });
  const { messages, sendMessage, status, error } = chat;

  useEffect(() => {
    if (status === 'ready' || status === 'error') void save(messages);
  }, [messages, save, status]);

  const busy = status === 'submitted' || status === 'streaming';

  function submit(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    if (!input.trim() || busy) return;
    void sendMessage(files ? { text: input, files } : { text: input });
    setInput('');
    setFiles(undefined);
    event.currentTarget.reset(); // empties the file input
  }

  function retry() {
    chat.clearError();
    void chat.regenerate();
  }

  /** Sends a text from a form or a card. While an answer streams, `useChat` would lose one of the two. */
  function send(text: string) {
    if (!busy) void sendMessage({ text });
  }

  function renderPart(part: Message['parts'][number], index: number) {
    if (isToolUIPart(part) && part.state === 'approval-requested') { // AI SDK 6
      const isNewest = messages.at(-1)?.parts.includes(part); // AI SDK 6
      return <Approval key={index} part={part} respond={chat.addToolApprovalResponse} disabled={busy || !isNewest} />; // AI SDK 6
    } // AI SDK 6
    switch (part.type) {
      case 'text':
        return <p key={index}>{part.text}</p>;
      case 'reasoning':
        return <details key={index}>{part.text}</details>;
      case 'file':
        return <a key={index} href={part.url}>{part.filename ?? part.mediaType}</a>;
      case 'source-url':
        return <a key={index} href={part.url}>{part.title ?? part.url}</a>;
      default:
        return <DisplayTool key={index} part={part} send={send} act={act} />;
    }
  }

  return (
    <main>
      {messages.map((message) => (
        <article key={message.id} className={message.role}>{message.parts.map(renderPart)}</article>
      ))}

      {error && (
        <p role="alert">
          {error.message} <button onClick={retry}>Try again</button>
        </p>
      )}

      <form onSubmit={submit}>
        <input value={input} onChange={(event) => setInput(event.target.value)} />
        <input type="file" multiple onChange={(event) => setFiles(event.target.files ?? undefined)} />
        {busy ? (
          <button type="button" onClick={() => void chat.stop()}>Stop</button>
        ) : (
          <button>Send</button>
        )}
      </form>
    </main>
  );
}
