// A chat whose state a test reads and changes through `window.page`.

import { useChat } from '@ai-sdk/react';
import { MambaChatTransport, type MambaChatTransportOptions } from '@mamba-server/client';
import type { UIMessage } from 'ai';
import { StrictMode, useLayoutEffect, useState } from 'react';
import { createRoot } from 'react-dom/client';

interface PageOptions {
  chatId: string;
  /** Whether the component releases its run when it is unmounted. */
  release: boolean;
  transport: MambaChatTransportOptions;
}

interface TestPage {
  chat?: ReturnType<typeof useChat>;
  transport: MambaChatTransport<UIMessage>;
  /** When the text grew: milliseconds and the number of characters. */
  growth: [number, number][];
  unmount?: () => void;
}

declare global {
  interface Window {
    page: TestPage;
  }
}

const options: PageOptions = JSON.parse(decodeURIComponent(location.hash.slice(1)));
const page: TestPage = { transport: new MambaChatTransport(options.transport), growth: [] };
window.page = page;

function Chat() {
  const chat = useChat({ id: options.chatId, transport: page.transport, resume: true });
  page.chat = chat;
  useLayoutEffect(() => () => {
    if (options.release) page.transport.release(options.chatId);
  }, []);
  const text = textOf(chat.messages.at(-1));
  if (text.length !== page.growth.at(-1)?.[1]) page.growth.push([performance.now(), text.length]);
  return <p id={chat.status}>{text}</p>;
}

function App() {
  const [mounted, setMounted] = useState(true);
  page.unmount = () => setMounted(false);
  return mounted ? <Chat /> : null;
}

function textOf(message: UIMessage | undefined): string {
  if (message?.role !== 'assistant') return '';
  return message.parts.map((part) => (part.type === 'text' ? part.text : '')).join('');
}

createRoot(document.body.appendChild(document.createElement('main'))).render(
  <StrictMode>
    <App />
  </StrictMode>,
);
