/** One chat: its messages, the composer, the timeline, and the buttons that break things. */

import { useEffect, useRef, useState } from 'react';
import type { Chat, ChatStore } from '../chats/chat_store';
import { textOf } from '../chats/message';
import { requestFields } from '../chats/request_fields';
import { useConversation, type Conversation } from '../chats/use_conversation';
import type { Offer } from './app';
import { BreakIt } from './break_it';
import { CodeDialog } from './code_dialog';
import { Composer } from './composer';
import { ConnectionStatus } from './connection_status';
import { Icon } from './icon';
import { MessageView } from './message_view';
import { Suggestions } from './suggestions';
import { TimelineView } from './timeline_view';
import { useKeptFocus } from './focus/use_kept_focus';
import { usePanel } from './focus/use_panel';

interface ChatViewProps {
  chat: Chat;
  store: ChatStore;
  offer: Offer;
}

export function ChatView({ chat, store, offer }: ChatViewProps) {
  const agent = offer.agents.find(({ name, default: isDefault }) => (chat.agent ? name === chat.agent : isDefault));
  const fields = requestFields(chat, agent);
  const conversation = useConversation(chat, store, fields);
  const timeline = usePanel();
  const field = useRef<HTMLTextAreaElement>(null);
  useKeptFocus(field);
  const [isCodeOpen, setCodeOpen] = useState(false);
  const { messages, busy, isReady, send } = conversation;
  return (
    <>
      <main className="chat">
        <div className="chat-bar">
          <Pickers chat={chat} store={store} offer={offer} />
          <ConnectionStatus connection={conversation.connection} busy={busy} />
          <button type="button" aria-haspopup="dialog" aria-label="Show me the code" onClick={() => setCodeOpen(true)}>
            <Icon name="code" /> <span className="wide-only">Show me the code</span>
          </button>
          <button type="button" className="narrow-only" {...timeline.toggle}>
            <Icon name="pulse" /> Timeline
          </button>
        </div>
        <Messages conversation={conversation}>
          {!messages.length && isReady && <Suggestions demo={offer.info.demo} agent={agent?.name ?? ''} onChoose={(text) => void send(text)} />}
        </Messages>
        <Queued conversation={conversation} />
        <Composer field={field} busy={busy} isReady={isReady} onSend={send} onStop={() => void conversation.stop()} />
      </main>
      <aside className={timeline.isOpen ? 'side open' : 'side'} aria-label="Faults and timeline" {...timeline.panel}>
        <BreakIt chatId={chat.id} info={offer.info} busy={busy || !isReady} onSend={send} />
        <TimelineView chatId={chat.id} />
      </aside>
      {isCodeOpen && <CodeDialog chatId={chat.id} fields={fields} onClose={() => setCodeOpen(false)} />}
    </>
  );
}

function Messages({ conversation, children }: { conversation: Conversation; children: React.ReactNode }) {
  const { messages, busy, status, error, notice, retry } = conversation;
  const end = useEndInView(messages, status === 'submitted');
  return (
    <div className="messages" role="log" aria-label="Messages" aria-busy={busy} tabIndex={0} ref={end}>
      {children}
      {messages.map((message, index) => (
        <MessageView key={message.id} message={message} isLive={busy && index === messages.length - 1} conversation={conversation} />
      ))}
      {status === 'submitted' && <p className="muted waiting">Waiting for the answer …</p>}
      {notice && <p className="notice bad" role="alert">{notice}</p>}
      {error && (
        <p className="notice bad" role="alert">
          {error.message} <button type="button" onClick={retry}>Try again</button>
        </p>
      )}
    </div>
  );
}

/** Keeps the end of the messages in view, unless the user has scrolled up since the last request. */
function useEndInView(messages: unknown, isRequest: boolean) {
  const box = useRef<HTMLDivElement>(null);
  const follows = useRef(true);
  useEffect(() => {
    const element = box.current!;
    const check = () => (follows.current = element.scrollHeight - element.scrollTop - element.clientHeight < 60);
    element.addEventListener('scroll', check, { passive: true });
    return () => element.removeEventListener('scroll', check);
  }, []);
  useEffect(() => {
    if (follows.current || isRequest) box.current!.scrollTop = box.current!.scrollHeight;
  }, [messages, isRequest]);
  return box;
}

function Queued({ conversation: { queued, sending, cancelQueued } }: { conversation: Conversation }) {
  if (!queued.length && !sending.length) return null;
  return (
    <ul className="queue" aria-label="Queued messages">
      {queued.map((waiting) => (
        <li key={waiting.message.id}>
          <span className="badge queued">queued</span>
          <span className="chat-title">{textOf(waiting.message) || 'Files'}</span>
          <button type="button" onClick={() => void cancelQueued(waiting)}>Cancel</button>
        </li>
      ))}
      {sending.map((message) => (
        <li key={message.id}>
          <span className="badge">sending</span>
          <span className="chat-title">{textOf(message) || 'Files'}</span>
        </li>
      ))}
    </ul>
  );
}

function Pickers({ chat, store, offer }: ChatViewProps) {
  return (
    <div className="pickers">
      <label>
        Agent
        <select name="agent" value={chat.agent} onChange={(event) => store.update(chat.id, { agent: event.target.value })}>
          <option value="">{offer.agents.find((agent) => agent.default)?.name ?? 'default'}</option>
          {offer.agents.filter((agent) => !agent.default).map(({ name, description }) => (
            <option key={name} value={name} title={description}>{name}</option>
          ))}
        </select>
      </label>
      {offer.models.length > 1 && (
        <label>
          Model
          <select name="model" value={chat.model} onChange={(event) => store.update(chat.id, { model: event.target.value })}>
            <option value="">default</option>
            {offer.models.map((model) => <option key={model}>{model}</option>)}
          </select>
        </label>
      )}
    </div>
  );
}
