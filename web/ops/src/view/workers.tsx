/** The workers with their runs. */

import * as format from '../format';
import { confirmDrain } from '../commands';
import { runLink } from '../navigation';
import type { Overview, RunSummary, VanishedWorker, WorkerSnapshot } from '../api/types';
import { Icon } from './icons';
import { NoWorkers } from './run_lists';

const MAX_RUNS = 6;
const MAX_VANISHED = 5;

export function Workers({ system }: { system: Overview }) {
  return (
    <section class="card" aria-labelledby="workers-title">
      <header class="section-head">
        <h2 id="workers-title">Workers</h2>
        <span class="count">{system.workers.length || ''}</span>
      </header>
      {!system.workers.length && <NoWorkers />}
      <ul class="workers">
        {system.workers.map((worker) => (
          <Worker
            key={worker.id}
            worker={worker}
            runs={system.live.filter((run) => run.worker === worker.id)}
          />
        ))}
        {system.vanished.slice(0, MAX_VANISHED).map((worker) => (
          <Vanished key={worker.id} worker={worker} now={system.at} />
        ))}
      </ul>
    </section>
  );
}

function Vanished({ worker, now }: { worker: VanishedWorker; now: number }) {
  return (
    <li data-vanished={worker.id}>
      <div class="worker-head">
        <div>
          <p class="id" title={worker.id}>
            {worker.id}
          </p>
          <p class="muted">
            last heartbeat {format.age(now - worker.seen_at)} ago, with {format.count(worker.running)}{' '}
            {worker.running === 1 ? 'run' : 'runs'}
          </p>
        </div>
        <span class="state bad">
          <Icon name="bad" />
          vanished
        </span>
      </div>
    </li>
  );
}

function Worker({ worker, runs }: { worker: WorkerSnapshot; runs: RunSummary[] }) {
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
            up {format.age(worker.up_ms)} · serves {queueNames(worker)}
          </p>
        </div>
        {worker.draining ? (
          <span class="state warn">
            <Icon name="warn" />
            draining
          </span>
        ) : (
          <button type="button" class="quiet" onClick={() => confirmDrain(worker.id)}>
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
          aria-label={`Slots in use on ${worker.id}`}
        />
        <span>
          {format.count(worker.running)} / {format.count(worker.concurrency)}
        </span>
      </div>
      <WorkerRuns runs={runs} running={worker.running} />
    </li>
  );
}

function queueNames(worker: WorkerSnapshot): string {
  return worker.queues.map((key) => /^mamba:queues:(.+)$/.exec(key)?.[1] ?? 'main').join(', ');
}

function WorkerRuns({ runs, running }: { runs: RunSummary[]; running: number }) {
  const shown = runs.slice(0, MAX_RUNS);
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
