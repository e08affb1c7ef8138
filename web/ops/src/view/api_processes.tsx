/** The API processes with their open streams. */

import type { Overview } from '../api/types';
import * as format from '../format';

export function ApiProcesses({ system }: { system: Overview }) {
  return (
    <section class="card" aria-labelledby="apis-title">
      <header class="section-head">
        <h2 id="apis-title">API processes</h2>
        <span class="count">{system.apis.length || ''}</span>
      </header>
      <ul class="apis">
        {system.apis.map((api) => (
          <li key={api.id}>
            <span class="id" title={api.id}>
              {api.id}
            </span>
            <span class="muted">up {format.age(api.up_ms)}</span>
            <span>
              {api.clients === 1 ? '1 stream' : `${format.count(api.clients)} streams`}
            </span>
          </li>
        ))}
      </ul>
    </section>
  );
}
