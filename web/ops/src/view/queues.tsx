/** The queues with their depth, and what operators have paused. */

import type { Overview, Pausable, Pause, QueueSnapshot } from '../api/types';
import { PAUSE_EFFECTS, confirmPause, confirmResume } from '../commands';
import * as format from '../format';
import { Icon } from './icons';

const PAUSABLE: Pausable[] = ['intake', 'processing'];

/** A reminder of each pause. */
export function Pauses({ system }: { system: Overview }) {
  return (system.pauses ?? []).map(({ what, queue, at, operator }) => (
    <div class="banner pause" key={`${what} ${queue}`} data-pause={what}>
      <Icon name="warn" />
      <p>
        <span role="status">
          The {what} of {queue === null ? 'all queues' : <bdi>{queue}</bdi>} is paused.
        </span>{' '}
        {PAUSE_EFFECTS[what]}{' '}
        <span class="muted">
          {format.age(system.at - at)} ago by <bdi>{operator}</bdi>
        </span>
      </p>
      <button type="button" onClick={() => confirmResume(what, queue)}>
        Resume
      </button>
    </div>
  ));
}

export function Queues({ system }: { system: Overview }) {
  return (
    <section class="card" aria-labelledby="queues-title">
      <header class="section-head">
        <h2 id="queues-title">Queues</h2>
        {system.queues.length > 1 && <PauseButtons queue={null} pauses={system.pauses ?? []} />}
      </header>
      <table class="queues">
        <thead>
          <tr>
            <th scope="col">Queue</th>
            <th scope="col" class="right">
              Waiting
            </th>
            <th scope="col" class="right">
              Running
            </th>
            <th scope="col" class="right">
              Deferred
            </th>
            <th scope="col" class="right">
              Oldest
            </th>
            <th scope="col" class="right" title="Expected wait of a new interactive run">
              Expected
            </th>
            <th scope="col" class="right">
              Slots
            </th>
          </tr>
        </thead>
        {system.queues.map((queue) => (
          <QueueRows key={queue.name} queue={queue} pauses={system.pauses ?? []} />
        ))}
      </table>
    </section>
  );
}

function backgroundNote(queue: QueueSnapshot): string | undefined {
  return queue.background ? `${format.count(queue.background)} of them are background runs` : undefined;
}

function expectedWait({ expected_wait_ms }: QueueSnapshot): string {
  return expected_wait_ms == null ? format.NONE : format.age(expected_wait_ms);
}

export function isFull(queue: QueueSnapshot): boolean {
  return queue.slots > 0 && queue.slots_used >= queue.slots;
}

function QueueRows({ queue, pauses }: { queue: QueueSnapshot; pauses: Pause[] }) {
  return (
    <tbody data-queue={queue.name}>
      <tr>
        <th scope="row">{queue.name}</th>
        <td class="right" title={backgroundNote(queue)}>
          {format.count(queue.waiting)}
        </td>
        <td class="right">{format.count(queue.running)}</td>
        <td class="right">{format.count(queue.deferred)}</td>
        <td class="right">{queue.waiting ? format.age(queue.oldest_wait_ms) : format.NONE}</td>
        <td class="right">{expectedWait(queue)}</td>
        <td class="right slots">
          {format.count(queue.slots_used)}/{format.count(queue.slots)}
        </td>
      </tr>
      <tr>
        <td colSpan={7}>
          <div class="queue-state">
            <QueueNotes queue={queue} />
            <PauseButtons queue={queue.name} pauses={pauses} />
          </div>
        </td>
      </tr>
    </tbody>
  );
}

/** What this queue, or the pause of all queues, does not pause yet. The reminder ends a pause. */
function PauseButtons({ queue, pauses }: { queue: string | null; pauses: Pause[] }) {
  const paused = (what: Pausable) =>
    pauses.some((pause) => pause.what === what && (pause.queue === null || pause.queue === queue));
  return (
    <div class="pause-buttons">
      {PAUSABLE.filter((what) => !paused(what)).map((what) => (
        <button
          key={what}
          type="button"
          class="quiet"
          aria-label={queue === null ? undefined : `Pause ${what} of ${queue}`}
          onClick={() => confirmPause(what, queue)}
        >
          {queue === null ? `Pause all ${what}` : `Pause ${what}`}
        </button>
      ))}
    </div>
  );
}

/** Explains why new runs of this queue are refused, and why runs wait, or would wait. */
function QueueNotes({ queue }: { queue: QueueSnapshot }) {
  const notes: ['warn' | 'bad', string][] = [];
  if (queue.intake_paused) notes.push(['warn', 'intake paused']);
  if (queue.processing_paused) notes.push(['warn', 'processing paused']);
  if (!queue.workers) notes.push([queue.waiting ? 'bad' : 'warn', 'no worker serves it']);
  else if (isFull(queue)) notes.push(['bad', 'all slots in use']);
  return notes.map(([state, text]) => (
    <span key={text} class={`state ${state}`}>
      <Icon name={state} />
      {text}
    </span>
  ));
}
