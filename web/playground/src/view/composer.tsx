/** The text field, with files that are attached, dropped, or pasted. */

import type { FileUIPart } from 'ai';
import { useRef, useState } from 'react';
import { Icon, IconButton } from './icon';

interface ComposerProps {
  busy: boolean;
  /** Whether messages can be sent. */
  isReady: boolean;
  onSend: (text: string, files: FileUIPart[]) => Promise<void>;
  onStop: () => void;
}

export function Composer({ busy, isReady, onSend, onStop }: ComposerProps) {
  const [text, setText] = useState('');
  const [files, setFiles] = useState<FileUIPart[]>([]);
  const [isDropTarget, setDropTarget] = useState(false);
  const picker = useRef<HTMLInputElement>(null);
  const canSend = isReady && (text.trim() !== '' || files.length > 0);

  async function attach(list: Iterable<File>): Promise<void> {
    const parts = await Promise.all([...list].map(toPart));
    setFiles((current) => [...current, ...parts]);
  }

  function submit(event?: React.FormEvent): void {
    event?.preventDefault();
    if (!canSend) return;
    void onSend(text.trim(), files);
    setText('');
    setFiles([]);
  }

  return (
    <form
      className={isDropTarget ? 'composer drop' : 'composer'}
      aria-busy={!isReady}
      onSubmit={submit}
      onDragOver={(event) => {
        event.preventDefault();
        setDropTarget(true);
      }}
      onDragLeave={() => setDropTarget(false)}
      onDrop={(event) => {
        event.preventDefault();
        setDropTarget(false);
        void attach(event.dataTransfer.files);
      }}
    >
      {files.length > 0 && (
        <ul className="attachments" aria-label="Attached files">
          {files.map((file, index) => (
            <li key={index}>
              {file.filename}
              <IconButton icon="close" label={`Remove ${file.filename}`} onClick={() => setFiles(files.filter((other) => other !== file))} />
            </li>
          ))}
        </ul>
      )}
      <div className="composer-row">
        <input ref={picker} type="file" name="files" multiple hidden onChange={(event) => void attach(event.target.files ?? [])} />
        <IconButton icon="attach" label="Attach files" onClick={() => picker.current?.click()} />
        <textarea
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

async function toPart(file: File): Promise<FileUIPart> {
  const url = await new Promise<string>((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result as string);
    reader.onerror = () => reject(reader.error!);
    reader.readAsDataURL(file);
  });
  return { type: 'file', mediaType: file.type || 'text/plain', filename: file.name, url };
}
