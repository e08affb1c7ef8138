/** Who does the work: the workers with their runs, the queues, the API processes. */

import * as format from '../format';
import { askToDrain } from '../orders';
import { runLink } from '../place';
import type { Overview, RunLook, WorkerLook } from '../wire';
import { Icon } from './icons';
import { NoWorkers } from './runs';

const MOST_RUNS = 6;

export function Workers({ seen }: { seen: Overview }) {
  return (
    <section class="card" aria-labelledby="workers-title">
      <header class="section-head">
        <h2 id="workers-title">Workers</h2>
        <span class="count">{seen.workers.length || ''}</span>
      </header>
      {!seen.workers.length && <NoWorkers />}
      <ul class="workers">
        {seen.workers.map((worker) => (
          <Worker
            key={worker.id}
            worker={worker}
            runs={seen.live.filter((run) => run.worker === worker.id)}
          />
        ))}
      </ul>
    </section>
  );
}

function Worker({ worker, runs }: { worker: WorkerLook; runs: RunLook[] }) {
  const used = worker.concurrency ? worker.running / worker.concurrency : 0;
  const state = used >= 1 ? 'bad' : used > 0.85 ? 'warn' : 'ok';
  return (
    <li data-worker={worker.id}>
      <div class="worker-head">
        <div>
          <p class="id" title={worker.id}>
            {worker.id}
          </p>
          <p class="muted">
            up {format.age(worker.up_ms)} · serves {served(worker)}
          </p>
        </div>
        {worker.draining ? (
          <span class="state warn">
            <Icon name="warn" />
            draining
          </span>
        ) : (
          <button type="button" class="quiet" onClick={() => askToDrain(worker.id)}>
            Drain
          </button>
        )}
      </div>
      <div class="saturation">
        <meter
          class={state}
          min={0}
          max={1}
          value={Math.min(used, 1)}
          aria-label={`Places taken of ${worker.id}`}
        />
        <span>
          {format.count(worker.running)} / {format.count(worker.concurrency)}
        </span>
      </div>
      <RunsOf runs={runs} running={worker.running} />
    </li>
  );
}

function served(worker: WorkerLook): string {
  const queues = worker.queues.length ? worker.queues : [worker.queue];
  return queues.map((key) => /^mamba:queues:(.+)$/.exec(key)?.[1] ?? 'main').join(', ');
}

function RunsOf({ runs, running }: { runs: RunLook[]; running: number }) {
  const shown = runs.slice(0, MOST_RUNS);
  const more = running - shown.length;
  if (!shown.length) return null;
  return (
    <p class="chips">
      {shown.map((run) => (
        <a key={run.id} class="chip" href={runLink(run.id)} title={`${run.agent}, ${run.model}`}>
          {run.id.slice(0, 8)}
        </a>
      ))}
      {more > 0 && <span class="muted">and {format.count(more)} more</span>}
    </p>
  );
}

export function Queues({ seen }: { seen: Overview }) {
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
          {seen.queues.map((queue) => (
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

export function Apis({ seen }: { seen: Overview }) {
  return (
    <section class="card" aria-labelledby="apis-title">
      <header class="section-head">
        <h2 id="apis-title">API processes</h2>
        <span class="count">{seen.apis.length || ''}</span>
      </header>
      <ul class="apis">
        {seen.apis.map((api) => (
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
