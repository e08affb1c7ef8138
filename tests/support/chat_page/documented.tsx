// Renders the components of the documentation. The address names the API of their requests, the fields of a message, and
// the component.

import { useChat } from '@ai-sdk/react';
import { MambaChatTransport } from '@mamba-server/client';
import type { UIMessage } from 'ai';
import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { cachedToken } from './cachedToken';
import { Chat, type ChatProps } from './Chat';
import { followChat } from './followChat';
import { Footer } from './Footer';
import { transport as resilientTransport } from './resilientTransport';
import { useLocationChat } from './useLocationChat';
import { useOtherTabs } from './useOtherTabs';

const DOCUMENTED = 'http://localhost:8000/chat';
const { api, chatId, fields, component } = JSON.parse(decodeURIComponent(location.hash.slice(1)));
const send = globalThis.fetch;
globalThis.fetch = (url, init) => {
  const body = init?.body && JSON.stringify({ ...JSON.parse(String(init.body)), ...fields });
  return send(String(url).replace(DOCUMENTED, api), { ...init, ...(body && { body }) });
};

/** The newest source is `window.source`. */
window.EventSource = class extends EventSource {
  constructor(url: string | URL) {
    super(url);
    Object.assign(window, { source: this });
  }
};
Object.assign(window, { cachedToken, followChat });

const authHeaders = async () => ({});
const stored = () => JSON.parse(localStorage.getItem(chatId) ?? '[]');
const load = async () => stored();
const props: ChatProps = {
  api,
  chatId,
  initialMessages: stored(),
  save: async (messages) => localStorage.setItem(chatId, JSON.stringify(messages)),
  authHeaders,
  act: (name, values) => document.body.append(`act ${name} ${JSON.stringify(values)}`),
};
const transport = new MambaChatTransport({ api });

function OtherTab() {
  const chat = useChat({ id: chatId, transport, messages: props.initialMessages, resume: true });
  useOtherTabs(chat, { api, authHeaders, load });
  return <Messages messages={chat.messages} />;
}

let calls = 0;

function LocationChat() {
  return <Asking chat={useLocationChat(chatId, async (input) => ({ input, calls: ++calls }))} />;
}

function ResilientChat() {
  return <Asking chat={useChat({ id: chatId, transport: resilientTransport })} />;
}

function Asking({ chat }: { chat: ReturnType<typeof useChat> }) {
  return (
    <>
      <Messages messages={chat.messages} />
      <button onClick={() => void chat.sendMessage({ text: 'Where am I?' })}>Ask</button>
      <output>{chat.status}</output>
    </>
  );
}

function Messages({ messages }: { messages: UIMessage[] }) {
  return (
    <main>
      {messages.map((message) => (
        <article key={message.id} className={message.role}>
          {message.parts.map((part, index) => part.type === 'text' && <p key={index}>{part.text}</p>)}
          <Footer message={message as Parameters<typeof Footer>[0]['message']} />
        </article>
      ))}
    </main>
  );
}

const components = { Chat: () => <Chat {...props} />, OtherTab, LocationChat, ResilientChat };
const Component = components[component as keyof typeof components];
createRoot(document.body.appendChild(document.createElement('div'))).render(
  <StrictMode>
    <Component />
  </StrictMode>,
);
