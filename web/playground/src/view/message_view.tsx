/** A message with its parts and actions. */

import type { Card } from '@mamba-server/client';
import { isFileUIPart, isToolUIPart } from 'ai';
import { useEffect, useRef, useState } from 'react';
import { textOf, type Message, type Part } from '../chats/message';
import type { Conversation } from '../chats/use_conversation';
import { CopyButton } from './copy_button';
import { IconButton } from './icon';
import { Markdown } from './markdown';
import { Picture } from './picture';
import { CardView } from './tools/card_view';
import { ToolView } from './tools/tool_view';

interface MessageViewProps {
  message: Message;
  /** Whether its answer is being written. */
  isLive: boolean;
  conversation: Conversation;
}

export function MessageView({ message, isLive, conversation }: MessageViewProps) {
  const [isEditing, setEditing] = useState(false);
  const editButton = useRef<HTMLButtonElement>(null);
  const wasEditing = useRef(false);
  useEffect(() => {
    if (wasEditing.current && !isEditing) editButton.current?.focus();
    wasEditing.current = isEditing;
  }, [isEditing]);
  const isUser = message.role === 'user';
  const canReplace = !conversation.busy && conversation.isReady; // useChat would end the live answer
  if (isEditing) {
    const save = (text: string) => {
      setEditing(false);
      conversation.edit(message.id, text);
    };
    return <Editor text={textOf(message)} canSave={canReplace} onSave={save} onCancel={() => setEditing(false)} />;
  }
  return (
    <article className={`message ${message.role}${isLive ? ' live' : ''}`} aria-label={isUser ? 'You' : 'Answer'}>
      {message.parts.map((part, index) => (
        <PartView key={index} part={part} isUser={isUser} conversation={conversation} />
      ))}
      <Sources parts={message.parts} />
      <footer>
        {!isUser && !isLive && <Facts message={message} />}
        {isUser && canReplace && <IconButton icon="edit" label="Edit" ref={editButton} onClick={() => setEditing(true)} />}
        {!isUser && !isLive && (
          <>
            <CopyButton text={textOf(message)} label="Copy" />
            {canReplace && <IconButton icon="repeat" label="Regenerate" onClick={() => void conversation.regenerate({ messageId: message.id })} />}
          </>
        )}
      </footer>
    </article>
  );
}

function PartView({ part, isUser, conversation }: { part: Part; isUser: boolean; conversation: Conversation }) {
  if (part.type === 'text') return isUser ? <p className="text">{part.text}</p> : <Markdown text={part.text} />;
  if (part.type === 'reasoning') {
    return (
      <details className="reasoning" open={part.state === 'streaming'}>
        <summary>Reasoning</summary>
        <p className="text">{part.text}</p>
      </details>
    );
  }
  if (isFileUIPart(part)) {
    if (part.mediaType.startsWith('image/')) return <Picture className="attachment" url={part.url} alt={part.filename ?? 'Image'} />;
    return <a className="attachment" href={part.url} download={part.filename}>{part.filename ?? part.mediaType}</a>;
  }
  if (part.type === ('data-card' as string)) return <CardView card={(part as unknown as { data: Card }).data} send={(text) => void conversation.send(text)} />;
  if (isToolUIPart(part)) return <ToolView part={part} conversation={conversation} />;
  return null;
}

function Sources({ parts }: { parts: Part[] }) {
  const sources = parts.filter((part) => part.type === 'source-url' || part.type === 'source-document');
  if (!sources.length) return null;
  return (
    <ol className="sources" aria-label="Sources">
      {sources.map((source) => (
        <li key={source.sourceId}>
          {source.type === 'source-url' ? (
            <a href={source.url} target="_blank" rel="noreferrer">{source.title ?? source.url}</a>
          ) : (
            source.title
          )}
        </li>
      ))}
    </ol>
  );
}

function Facts({ message }: { message: Message }) {
  const { model, usage, stopped } = message.metadata?.mamba ?? {};
  const facts = [stopped && 'stopped', model, usage?.outputTokens && `${usage.outputTokens} tokens`].filter(Boolean);
  return <span className="muted">{facts.join(' · ')}</span>;
}

interface EditorProps {
  text: string;
  canSave: boolean;
  onSave: (text: string) => void;
  onCancel: () => void;
}

function Editor({ text, canSave, onSave, onCancel }: EditorProps) {
  const [value, setValue] = useState(text);
  return (
    <form
      className="editor"
      onKeyDown={({ key }) => {
        if (key === 'Escape') onCancel();
      }}
      onSubmit={(event) => {
        event.preventDefault();
        if (canSave && value.trim()) onSave(value.trim());
      }}
    >
      <textarea name="message" aria-label="Edit the message" value={value} rows={3} autoFocus onChange={(event) => setValue(event.target.value)} />
      <div className="buttons">
        <button type="button" onClick={onCancel}>Cancel</button>
        <button type="submit" className="primary" disabled={!canSave}>Send</button>
      </div>
    </form>
  );
}
