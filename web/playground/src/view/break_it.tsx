/** The buttons that break a part of the system while an answer is being written. */

import { useState } from 'react';
import { killWorker, network, restartApi, timeline, urlOf, type ServerInfo } from '../server';

const OFFLINE_MS = 10_000;

interface BreakItProps {
  chatId: string;
  info: ServerInfo;
  busy: boolean;
  onSend: (text: string) => Promise<unknown>;
}

export function BreakIt({ chatId, info, busy, onSend }: BreakItProps) {
  const [result, setResult] = useState('');
  const note = (text: string) => timeline.add(chatId, 'action', text);

  async function run(action: () => Promise<string>): Promise<void> {
    setResult('');
    try {
      note(await action());
    } catch (error) {
      setResult(error instanceof Error ? error.message : String(error));
    }
  }

  function cut(): void {
    note('You cut the connection.');
    network.cut();
  }

  function goOffline(): void {
    note(`You are offline for ${OFFLINE_MS / 1000} s.`);
    network.goOffline(OFFLINE_MS);
  }

  return (
    <section className="break-it" aria-labelledby="break-it">
      <h2 id="break-it">Break it</h2>
      <p className="muted">Ask for something long, such as “Count to 1000”, and use these buttons while the answer is being written.</p>
      <div className="break-buttons">
        {info.canBreak && (
          <>
            <button type="button" className="danger" disabled={!busy} onClick={() => void run(() => killWorker(chatId))}>
              Kill the worker
            </button>
            <button type="button" className="danger" onClick={() => void run(restartApi)}>Restart the API</button>
          </>
        )}
        <button type="button" disabled={!busy} onClick={cut}>Cut my connection</button>
        <button type="button" disabled={!busy} onClick={goOffline}>Go offline for 10 s</button>
        <a className="button" href={`${urlOf('')}#chat=${encodeURIComponent(chatId)}`} target="_blank" rel="noreferrer">
          Open a second tab
        </a>
        {info.demo && FAILURES.map(({ label, prompt }) => (
          <button type="button" key={label} disabled={busy} onClick={() => void onSend(prompt)}>{label}</button>
        ))}
      </div>
      {!info.canBreak && <p className="muted">The buttons that end processes are available only with <code>mamba dev</code>.</p>}
      {result && <p className="notice bad" role="alert">{result}</p>}
    </section>
  );
}

/** The demo model fails once in the middle of its answer to these messages. */
const FAILURES = [
  { label: 'Model: 429', prompt: 'Count to 60, and fail with 429 in between' },
  { label: 'Model: reset', prompt: 'Count to 60, and reset the connection in between' },
  { label: 'Model: hang', prompt: 'Count to 60, and hang in between' },
];
