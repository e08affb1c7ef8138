/** "Show me the code": the React component and the commands that do what this page has done. */

import { useEffect, useRef } from 'react';
import { application, chatComponent } from '../code/chat_component';
import { curlCommands } from '../code/curl';
import { CHAT_URL, timeline } from '../server';
import { CopyButton } from './copy_button';
import { IconButton } from './icon';
import { CodeBlock } from './markdown';

interface CodeDialogProps {
  chatId: string;
  /** The fields of each request that the user's choices decide. */
  fields: object;
  onClose: () => void;
}

export function CodeDialog({ chatId, fields, onClose }: CodeDialogProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => dialog.current!.showModal(), []);
  const newest = timeline.recordings(chatId).at(-1);
  return (
    <dialog className="code-dialog" aria-labelledby="code-dialog" ref={dialog} onClose={onClose}>
      <header>
        <h2 id="code-dialog">Show me the code</h2>
        <IconButton icon="close" label="Close" onClick={() => dialog.current!.close()} />
      </header>
      <div className="code-files">
        <p className="muted">
          The commands repeat the last request of this chat. The component has the settings of this chat. It needs the
          package <code>@mamba-server/client</code>, which <code>make client</code> builds.
        </p>
        <File name="curl" language="bash" code={curlCommands(CHAT_URL, chatId, newest)} isOpen />
        <File name="App.tsx" language="tsx" code={application(CHAT_URL, chatId)} isOpen />
        <File name="Chat.tsx" language="tsx" code={chatComponent(fields)} isOpen />
        <File name="Approval.tsx" language="tsx" code={SHOWN_MODULES['Approval.tsx']} />
        <File name="DisplayTools.tsx" language="tsx" code={SHOWN_MODULES['DisplayTools.tsx']} />
      </div>
    </dialog>
  );
}

function File({ name, language, code, isOpen = false }: { name: string; language: string; code: string; isOpen?: boolean }) {
  return (
    <section className="code-file" aria-label={name}>
      <CopyButton text={code} label={`Copy ${name}`} />
      <details open={isOpen}>
        <summary>{name}</summary>
        <CodeBlock language={language} code={code} />
      </details>
    </section>
  );
}
