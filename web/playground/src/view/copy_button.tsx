import { useState } from 'react';
import { IconButton } from './icon';

const SHOWN_MS = 2000;

/** Copies a text. `label` names it. */
export function CopyButton({ text, label }: { text: string; label: string }) {
  const [result, setResult] = useState('');

  function copy(): void {
    const copied = navigator.clipboard?.writeText(text) ?? Promise.reject(new Error('The page is not a secure context.'));
    void copied.then(() => setResult('Copied'), () => setResult('Copying failed')).then(() => setTimeout(() => setResult(''), SHOWN_MS));
  }

  return (
    <>
      <IconButton icon="copy" label={label} onClick={copy} />
      <span className="muted" role="status">{result}</span>
    </>
  );
}
