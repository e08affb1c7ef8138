/** The list of chats. Those whose answers are being written have a badge. */

import { useEffect, useRef, useState } from 'react';
import type { Chat } from '../chats/chat_store';
import { getLiveChats, type LiveChat } from '../server';
import { Icon, IconButton } from './icon';

/** Between two requests, while this browser waits for an answer, and otherwise. */
const BUSY_MS = 2_000;
const IDLE_MS = 15_000;

interface SidebarProps {
  chats: readonly Chat[];
  openId: string;
  isOpen: boolean;
  panel: React.ComponentProps<'aside'>;
  onOpen: (id: string) => void;
  onNew: () => void;
  onDelete: (id: string) => void;
}

export function Sidebar({ chats, openId, isOpen, panel, onOpen, onNew, onDelete }: SidebarProps) {
  const newChat = useRef<HTMLButtonElement>(null);
  const live = useLiveChats(chats.some(({ runId }) => runId !== undefined));
  function remove(id: string): void {
    onDelete(id);
    newChat.current!.focus();
  }

  return (
    <aside className={isOpen ? 'sidebar open' : 'sidebar'} aria-label="Chats" {...panel}>
      <button type="button" className="new-chat" ref={newChat} onClick={onNew}>
        <Icon name="plus" /> New chat
      </button>
      <ul>
        {chats.map((chat) => (
          <li key={chat.id} className={chat.id === openId ? 'current' : ''}>
            <button type="button" className="chat-link" aria-current={chat.id === openId} onClick={() => onOpen(chat.id)}>
              <span className="chat-title">{chat.title}</span>
              <Badge live={live.find(({ id }) => id === chat.id)} />
            </button>
            <IconButton icon="trash" label={`Remove ${chat.title}`} className="remove" onClick={() => remove(chat.id)} />
          </li>
        ))}
      </ul>
    </aside>
  );
}

function Badge({ live }: { live: LiveChat | undefined }) {
  if (!live) return null;
  const waiting = live.waiting ? ` +${live.waiting}` : '';
  return <span className={`badge ${live.state}`}>{live.state === 'running' ? 'live' : 'queued'}{waiting}</span>;
}

function useLiveChats(busy: boolean): LiveChat[] {
  const [live, setLive] = useState<LiveChat[]>([]);
  useEffect(() => {
    const load = () => {
      if (document.visibilityState === 'visible') getLiveChats().then(setLive, () => setLive([]));
    };
    const first = setTimeout(load, busy ? 0 : 500);
    const timer = setInterval(load, busy ? BUSY_MS : IDLE_MS);
    return () => {
      clearTimeout(first);
      clearInterval(timer);
    };
  }, [busy]);
  return live;
}
