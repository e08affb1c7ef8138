import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { Chat, type ChatProps } from './Chat';
import './style.css';

// The address names the chat, so that a reload and a bookmark lead to the same one.
if (!location.hash) history.replaceState(null, '', `#${crypto.randomUUID()}`);
const chatId = location.hash.slice(1);
addEventListener('hashchange', () => location.reload());

const props: ChatProps = {
  api: '/chat', // vite.config.ts passes it on to Mamba
  chatId,
  initialMessages: JSON.parse(localStorage.getItem(chatId) ?? '[]'),
  save: async (messages) => localStorage.setItem(chatId, JSON.stringify(messages)),
  authHeaders: async () => ({}), // `make dev` requires no authentication
  act: (name, values) => alert(`${name} ${JSON.stringify(values)}`),
};

createRoot(document.getElementById('root')!).render(
  <StrictMode>
    <Chat {...props} />
    <a href={`#${crypto.randomUUID()}`}>New chat</a>
  </StrictMode>,
);
