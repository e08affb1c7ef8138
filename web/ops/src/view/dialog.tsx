/** Asks before anything is done, and tells what has become of it. */

import { useSignal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import { carryOut, question, result, type Question } from '../orders';
import { Icon } from './icons';

const SHOWN_MS = 8_000;

export function Confirm() {
  const asked = question.value;
  return asked && <Asking key={`${asked.title} ${asked.of}`} asked={asked} />;
}

function Asking({ asked }: { asked: Question }) {
  const dialog = useRef<HTMLDialogElement>(null);
  const busy = useSignal(false);
  useEffect(() => dialog.current?.showModal(), []);
  const yes = async () => {
    busy.value = true;
    await carryOut(asked);
    if (question.value === asked) question.value = null; // another may have been asked meanwhile
  };
  return (
    <dialog ref={dialog} aria-labelledby="asked" onClose={() => (question.value = null)}>
      <h2 id="asked">{asked.title}</h2>
      <p class="id">{asked.of}</p>
      <p>{asked.text}</p>
      <div class="answers">
        <button type="button" onClick={() => dialog.current?.close()} disabled={busy.value} autofocus>
          Cancel
        </button>
        <button type="button" class="danger" onClick={() => void yes()} disabled={busy.value}>
          {busy.value ? 'Working …' : asked.yes}
        </button>
      </div>
    </dialog>
  );
}

export function Told() {
  const told = result.value;
  useEffect(() => {
    if (!told || told.bad) return;
    const timer = setTimeout(() => (result.value = null), SHOWN_MS);
    return () => clearTimeout(timer);
  }, [told]);
  return (
    <div class="told" role="status" aria-live="polite">
      {told && (
        <p class={told.bad ? 'toast bad' : 'toast'}>
          <Icon name={told.bad ? 'bad' : 'ok'} />
          <span>{told.text}</span>
          <button type="button" class="bare" aria-label="Dismiss" onClick={() => (result.value = null)}>
            <Icon name="close" />
          </button>
        </p>
      )}
    </div>
  );
}
