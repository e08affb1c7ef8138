/** The queues with their depth. */

import type { Overview, QueueSnapshot } from '../api/types';
import * as format from '../format';
import { Icon } from './icons';

export function Queues({ system }: { system: Overview }) {
  return (
    <section class="card" aria-labelledby="queues-title">
      <header class="section-head">
        <h2 id="queues-title">Queues</h2>
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
            <th scope="col" class="right">
              Slots
            </th>
          </tr>
        </thead>
        <tbody>
          {system.queues.map((queue) => (
            <tr key={queue.name} data-queue={queue.name}>
              <th scope="row">
                {queue.name}
                <QueueNote queue={queue} />
              </th>
              <td class="right">{format.count(queue.waiting)}</td>
              <td class="right">{format.count(queue.running)}</td>
              <td class="right">{format.count(queue.deferred)}</td>
              <td class="right">{queue.waiting ? format.age(queue.oldest_wait_ms) : format.NONE}</td>
              <td class="right">
                {format.count(queue.slots_used)} / {format.count(queue.slots)}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}

export function isFull(queue: QueueSnapshot): boolean {
  return queue.slots > 0 && queue.slots_used >= queue.slots;
}

/** Explains why runs of this queue wait, or would wait. */
function QueueNote({ queue }: { queue: QueueSnapshot }) {
  if (queue.workers && !isFull(queue)) return null;
  const state = queue.workers || queue.waiting ? 'bad' : 'warn';
  return (
    <span class={`state ${state}`}>
      <Icon name={state} />
      {queue.workers ? 'all slots in use' : 'no worker serves it'}
    </span>
  );
}
