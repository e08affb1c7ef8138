/** The queues with their depth. */

import type { Overview } from '../api/types';
import * as format from '../format';

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
          </tr>
        </thead>
        <tbody>
          {system.queues.map((queue) => (
            <tr key={queue.name} data-queue={queue.name}>
              <th scope="row">{queue.name}</th>
              <td class="right">{format.count(queue.waiting)}</td>
              <td class="right">{format.count(queue.running)}</td>
              <td class="right">{format.count(queue.deferred)}</td>
              <td class="right">{queue.waiting ? format.age(queue.oldest_wait_ms) : format.NONE}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}
