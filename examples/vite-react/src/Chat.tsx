import { useChat } from '@ai-sdk/react';
import { ConnectionLostError, MambaChatTransport, MambaError } from '@mamba-server/client';
import type { Act, DisplayTools, MambaData, MambaMetadata } from '@mamba-server/client';
import type { UIMessage } from 'ai';
import { type FormEvent, useEffect, useLayoutEffect, useState, useSyncExternalStore } from 'react';
import { isToolUIPart, lastAssistantMessageIsCompleteWithApprovalResponses } from 'ai'; // AI SDK 6
import { Approval } from './Approval'; // AI SDK 6
import { DisplayTool } from './DisplayTools';

type Message = UIMessage<MambaMetadata, MambaData, DisplayTools>;

export interface ChatProps {
  /** The URL of `POST /chat`, such as `/chat` behind a proxy, or `http://localhost:8000/chat`. */
  api: string;
  /** Stable over reloads: `resume` requests the newest run of this chat. */
  chatId: string;
  /** The messages that your application stored for this chat. */
  initialMessages: Message[];
  /** Stores the messages before one is sent, and when an answer has ended. Pass the same function in each render. */
  save: (messages: Message[]) => Promise<void>;
  /** Headers that authenticate the user, or {} if `auth.mode` is `none`. Only the first render's function is used. */
  authHeaders: () => Promise<Record<string, string>>;
  /** Handles the buttons of a card that your application defines. */
  act: Act;
}

export function Chat({ api, chatId, initialMessages, save, authHeaders, act }: ChatProps) {
  const [input, setInput] = useState('');
  const [files, setFiles] = useState<FileList>();

  // useChat keeps its first transport.
  const [transport] = useState(
    () =>
      new MambaChatTransport<Message>({
        api,
        headers: authHeaders,
        prepareBody: (body) => save(body.messages as Message[]).then(() => body),
        body: {
          tools: ['generateForm', 'generateChart', 'generateCode', 'generateCard'],
          sdkVersion: 6, // AI SDK 6
        },
      }),
  );
  const read = () => transport.connection(chatId);
  const connection = useSyncExternalStore(transport.subscribe, read, read);

  const chat = useChat<Message>({
    id: chatId,
    messages: initialMessages,
    transport,
    resume: true,
    sendAutomaticallyWhen: lastAssistantMessageIsCompleteWithApprovalResponses, // AI SDK 6
  });
  const { messages, sendMessage, status, error } = chat;

  // The answer continues when the user leaves this component.
  useLayoutEffect(() => () => transport.release(chatId), [transport, chatId]);

  // While an answer streams, the server has it; a reload replays it from its start.
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
    // The run may still be live: resume it, and never replace it.
    const isLost = error instanceof ConnectionLostError && messages.at(-1)?.role === 'assistant';
    void (isLost ? chat.resumeStream() : chat.regenerate({ body: { whenBusy: 'reject' } }));
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

      {connection.state === 'queued' && <p>Number {connection.position} of {connection.waiting} in the queue …</p>}
      {connection.state === 'retrying' && <p>{connection.offline ? 'You are offline.' : 'Reconnecting …'}</p>}
      {error && (
        <p role="alert">
          {error.message} {error instanceof MambaError && error.retryable && <button onClick={retry}>Try again</button>}
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
