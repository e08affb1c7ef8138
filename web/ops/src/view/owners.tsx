/** The owners with the most waiting runs. */

import * as format from '../format';
import { ranking } from '../system_state';

export function Owners() {
  if (!ranking.value) return null; // An older API process does not send it.
  const { owners, waiting_owners: total } = ranking.value;
  const shown = owners.filter((owner) => owner.waiting).length;
  return (
    <section class="card" aria-labelledby="owners-title">
      <header class="section-head">
        <h2 id="owners-title">Owners</h2>
        <span class="count">
          {shown < total ? `first ${format.count(shown)} of ${format.count(total)} with waiting runs` : owners.length || ''}
        </span>
      </header>
      {owners.length ? <OwnerTable /> : <p class="empty">No runs are waiting or running.</p>}
    </section>
  );
}

function OwnerTable() {
  return (
    <table class="owners">
      <thead>
        <tr>
          <th scope="col">Owner</th>
          <th scope="col">Queue</th>
          <th scope="col" class="right">
            Waiting
          </th>
          <th scope="col" class="right">
            Running
          </th>
          <th scope="col" class="right">
            Oldest
          </th>
          <th scope="col" class="right">
            Weight
          </th>
        </tr>
      </thead>
      <tbody>
        {ranking.value?.owners.map((owner) => (
          <tr key={`${owner.queue} ${owner.owner} ${owner.background}`}>
            <th scope="row">{owner.owner}</th>
            <td>
              {owner.queue}
              {owner.background && ' (background)'}
            </td>
            <td class="right">{format.count(owner.waiting)}</td>
            <td class="right">{format.count(owner.running)}</td>
            <td class="right">{owner.waiting ? format.age(owner.oldest_wait_ms) : format.NONE}</td>
            <td class="right">{owner.weight}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
