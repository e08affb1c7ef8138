'use client';

import { useState } from 'react';
import { Chat, type ChatProps } from './Chat';

export function StoredChat(props: Pick<ChatProps, 'api' | 'chatId' | 'initialMessages'>) {
  const [save] = useState(() => saver(props.chatId));
  return <Chat {...props} save={save} authHeaders={authHeaders} act={(name) => alert(name)} />;
}

/** Returns the headers of a request to Mamba. The session cookie authenticates the user. */
async function authHeaders() {
  const response = await request('/api/token');
  const { token } = await response.json();
  return { authorization: `Bearer ${token}` };
}

/** Returns a function that stores the messages in the application, one request after another. */
function saver(chatId: string): ChatProps['save'] {
  let saved = Promise.resolve();
  return (messages) => {
    if (messages.length === 0) return saved;
    const body = JSON.stringify(messages);
    const store = async () => void (await request(`/api/chats/${chatId}`, { method: 'PUT', body }));
    return (saved = saved.then(store, store));
  };
}

async function request(path: string, init?: RequestInit): Promise<Response> {
  const response = await fetch(path, { ...init, cache: 'no-store', headers: { 'content-type': 'application/json' } });
  if (response.status === 401) throw new Error('Your session has ended. Sign in again.');
  if (!response.ok) throw new Error(`The application responded with ${response.status}.`);
  return response;
}
