import { StrictMode, useEffect } from 'react';
import { useChat } from '@ai-sdk/react';
import { AssistantRuntimeProvider } from '@assistant-ui/react';
import { useAISDKRuntime } from '@assistant-ui/react-ai-sdk';
import { MambaChatTransport } from '@mamba-server/client';
import { createRoot } from 'react-dom/client';
import { Thread } from './Thread';
import './style.css';

// The address names the chat, so that a reload and a bookmark lead to the same one.
if (!location.hash) history.replaceState(null, '', `#${crypto.randomUUID()}`);
const chatId = location.hash.slice(1);
addEventListener('hashchange', () => location.reload());

const transport = new MambaChatTransport({ api: '/chat' }); // vite.config.ts passes it on to Mamba
const messages = JSON.parse(localStorage.getItem(chatId) ?? '[]');

function App() {
  // useChatRuntime would choose a new chat ID after each reload.
  const chat = useChat({ id: chatId, transport, messages, resume: true });
  const runtime = useAISDKRuntime(chat);

  // While an answer streams, the server has it; a reload replays it from its start.
  useEffect(() => {
    if (chat.status !== 'streaming') localStorage.setItem(chatId, JSON.stringify(chat.messages));
  }, [chat.messages, chat.status]);

  return (
    <AssistantRuntimeProvider runtime={runtime}>
      <Thread />
    </AssistantRuntimeProvider>
  );
}

createRoot(document.getElementById('root')!).render(
  <StrictMode>
    <App />
    <a href={`#${crypto.randomUUID()}`}>New chat</a>
  </StrictMode>,
);
