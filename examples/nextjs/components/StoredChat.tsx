'use client';

import { useState } from 'react';
import { Chat, type ChatProps } from './Chat';

export function StoredChat(props: Pick<ChatProps, 'api' | 'chatId' | 'initialMessages'>) {
  const [save] = useState(() => saver(props.chatId));
  return <Chat {...props} save={save} authHeaders={authHeaders} act={(name) => alert(name)} />;
}

/** Returns the headers of a request to Mamba. The session cookie authenticates the user. */
async function authHeaders() {
  const response = await fetch('/api/token', { cache: 'no-store' });
  if (!response.ok) throw new Error('Your session has ended. Sign in again.');
  const { token } = await response.json();
  return { authorization: `Bearer ${token}` };
}

/** Sends the messages to the application, one request after another. */
function saver(chatId: string): ChatProps['save'] {
  const headers = { 'content-type': 'application/json' };
  let saved: Promise<unknown> = Promise.resolve();
  return (messages) => {
    if (messages.length === 0) return;
    const body = JSON.stringify(messages);
    const send = () => fetch(`/api/chats/${chatId}`, { method: 'PUT', headers, body });
    saved = saved.then(send).catch(console.error);
  };
}
