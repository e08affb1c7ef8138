/** The text field, with files that are attached, dropped, or pasted. */

import type { FileUIPart } from 'ai';
import { useCallback, useEffect, useRef, useState, type RefObject } from 'react';
import { Icon, IconButton } from './icon';

interface ComposerProps {
  field: RefObject<HTMLTextAreaElement | null>;
  busy: boolean;
  /** Whether messages can be sent. */
  isReady: boolean;
  /** Returns whether the message was accepted. */
  onSend: (text: string, files: FileUIPart[]) => Promise<boolean>;
  onStop: () => void;
}

export function Composer({ field, busy, isReady, onSend, onStop }: ComposerProps) {
  const [text, setText] = useState('');
  const [files, setFiles] = useState<FileUIPart[]>([]);
  const picker = useRef<HTMLInputElement>(null);
  const canSend = isReady && (text.trim() !== '' || files.length > 0);

  const attach = useCallback(async (list: Iterable<File>) => {
    const parts = await Promise.all([...list].map(toPart));
    setFiles((current) => [...current, ...parts]);
  }, []);

  function remove(file: FileUIPart): void {
    setFiles(files.filter((other) => other !== file));
    field.current?.focus();
  }

  const isDropTarget = useDroppedFiles(attach);

  function submit(event?: React.FormEvent): void {
    event?.preventDefault();
    if (!canSend) return;
    setText('');
    setFiles([]);
    void onSend(text.trim(), files).then((isAccepted) => {
      if (isAccepted) return;
      setText((newer) => newer || text);
      setFiles((newer) => [...files, ...newer]);
    });
  }

  return (
    <form
      className={isDropTarget ? 'composer drop' : 'composer'}
      aria-busy={!isReady}
      onSubmit={submit}
    >
      {files.length > 0 && (
        <ul className="attachments" aria-label="Attached files">
          {files.map((file, index) => (
            <li key={index}>
              {file.filename}
              <IconButton icon="close" label={`Remove ${file.filename}`} onClick={() => remove(file)} />
            </li>
          ))}
        </ul>
      )}
      <div className="composer-row">
        <input
          ref={picker}
          type="file"
          name="files"
          multiple
          hidden
          onChange={({ target }) => {
            void attach(target.files ?? []);
            target.value = ''; // so that the same file can be chosen again
          }}
        />
        <IconButton icon="attach" label="Attach files" onClick={() => picker.current?.click()} />
        <textarea
          ref={field}
          name="message"
          aria-label="Message"
          placeholder={busy ? 'Next message' : 'Write a message'}
          rows={Math.min(8, text.split('\n').length)}
          value={text}
          autoFocus
          onChange={(event) => setText(event.target.value)}
          onPaste={(event) => {
            if (event.clipboardData.files.length) void attach(event.clipboardData.files);
          }}
          onKeyDown={(event) => {
            if (event.key !== 'Enter' || event.shiftKey || event.nativeEvent.isComposing) return;
            event.preventDefault();
            submit();
          }}
        />
        {busy && (
          <button type="button" className="danger" onClick={onStop}>
            <Icon name="stop" /> Stop
          </button>
        )}
        <button type="submit" className="primary" disabled={!canSend}>
          <Icon name="send" /> {busy ? 'Queue' : 'Send'}
        </button>
      </div>
    </form>
  );
}

/** Attaches files that are dropped anywhere on the page. Returns whether some are over it. */
function useDroppedFiles(attach: (files: FileList) => void): boolean {
  const [isOver, setOver] = useState(false);
  useEffect(() => {
    const listeners = new AbortController();
    const onDrag = (type: 'dragover' | 'dragleave' | 'drop', listener: (files: FileList) => void) =>
      document.addEventListener(
        type,
        (event) => {
          if (!event.dataTransfer?.types.includes('Files')) return;
          event.preventDefault();
          listener(event.dataTransfer.files);
        },
        { signal: listeners.signal },
      );
    onDrag('dragover', () => setOver(true));
    onDrag('dragleave', () => setOver(false));
    onDrag('drop', (files) => {
      setOver(false);
      attach(files);
    });
    return () => listeners.abort();
  }, [attach]);
  return isOver;
}

async function toPart(file: File): Promise<FileUIPart> {
  const url = await new Promise<string>((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result as string);
    reader.onerror = () => reject(reader.error!);
    reader.readAsDataURL(file);
  });
  return { type: 'file', mediaType: file.type || 'text/plain', filename: file.name, url };
}
