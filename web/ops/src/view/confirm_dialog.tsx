/** The confirmation dialog of a command, and the message with its outcome. */

import { useSignal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import { confirmation, execute, outcome, type Confirmation } from '../commands';
import { Icon } from './icons';

const TOAST_MS = 8_000;

export function ConfirmDialog() {
  const current = confirmation.value;
  return current && <OpenDialog key={`${current.title} ${current.target}`} current={current} />;
}

function OpenDialog({ current }: { current: Confirmation }) {
  const dialog = useRef<HTMLDialogElement>(null);
  const busy = useSignal(false);
  useEffect(() => dialog.current?.showModal(), []);
  const confirm = async () => {
    busy.value = true;
    await execute(current);
    if (confirmation.value === current) confirmation.value = null; // Another dialog may be open by now.
  };
  return (
    <dialog ref={dialog} aria-labelledby="dialog-title" onClose={() => (confirmation.value = null)}>
      <h2 id="dialog-title">{current.title}</h2>
      <p class="id">{current.target}</p>
      <p>{current.text}</p>
      <div class="buttons">
        <button type="button" onClick={() => dialog.current?.close()} disabled={busy.value} autofocus>
          Cancel
        </button>
        <button type="button" class="danger" onClick={() => void confirm()} disabled={busy.value}>
          {busy.value ? 'Working …' : current.confirmLabel}
        </button>
      </div>
    </dialog>
  );
}

export function OutcomeToast() {
  const latest = outcome.value;
  useEffect(() => {
    if (!latest || latest.failed) return;
    const timer = setTimeout(() => (outcome.value = null), TOAST_MS);
    return () => clearTimeout(timer);
  }, [latest]);
  return (
    <div class="outcome" role="status" aria-live="polite">
      {latest && (
        <p class={latest.failed ? 'toast bad' : 'toast'}>
          <Icon name={latest.failed ? 'bad' : 'ok'} />
          <span>{latest.text}</span>
          <button type="button" class="bare" aria-label="Dismiss" onClick={() => (outcome.value = null)}>
            <Icon name="close" />
          </button>
        </p>
      )}
    </div>
  );
}
