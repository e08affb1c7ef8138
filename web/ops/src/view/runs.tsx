/** The live runs, and the failed ones. */

import { signal } from '@preact/signals';
import { meaning } from '../codes';
import * as format from '../format';
import { deferred, running, waiting } from '../house';
import { openRun, runLink } from '../place';
import type { Overview, RunLook } from '../wire';
import { Icon, type IconName } from './icons';

const STATES = ['all', 'waiting', 'running', 'deferred'] as const;
const LONGEST_ID = 16;
const wanted = signal<(typeof STATES)[number]>('all');
const words = signal('');

export function LiveRuns({ seen }: { seen: Overview }) {
  const shown = seen.live.filter(fits);
  const total = waiting.value + running.value + deferred.value;
  return (
    <section class="card" aria-labelledby="live-title">
      <header class="section-head">
        <h2 id="live-title">Live runs</h2>
        <span class="count">{counted(seen.live.length, total)}</span>
        <Filter />
      </header>
      {shown.length ? <RunTable runs={shown} /> : <NoRuns seen={seen} total={total} />}
    </section>
  );
}

function counted(shown: number, total: number): string {
  return shown < total ? `the first ${format.count(shown)} of ${format.count(total)}` : format.count(shown);
}

function fits(run: RunLook): boolean {
  const stated = wanted.value === 'all' || wanted.value === run.state;
  const text = [run.id, run.agent, run.model, run.queue, run.worker ?? ''].join(' ').toLowerCase();
  return stated && text.includes(words.value.trim().toLowerCase());
}

function Filter() {
  return (
    <div class="filter">
      <label class="search">
        <Icon name="search" />
        <input
          type="search"
          placeholder="Run, agent, model, worker"
          aria-label="Show only runs that hold these words"
          value={words.value}
          onInput={(event) => (words.value = event.currentTarget.value)}
        />
      </label>
      <div class="switch" role="group" aria-label="State">
        {STATES.map((state) => (
          <button
            key={state}
            type="button"
            aria-pressed={wanted.value === state}
            onClick={() => (wanted.value = state)}
          >
            {state}
          </button>
        ))}
      </div>
    </div>
  );
}

function NoRuns({ seen, total }: { seen: Overview; total: number }) {
  if (total) return <p class="empty">None of those shown fits the filter.</p>;
  if (!seen.workers.length) return <NoWorkers />;
  return <p class="empty">No run waits, and none runs. The next chat appears here.</p>;
}

export function NoWorkers() {
  return (
    <p class="empty">
      No worker is alive. Start one with <code>mamba worker</code>, or see why it left: its log, and{' '}
      <code>mamba doctor</code>.
    </p>
  );
}

function RunTable({ runs }: { runs: RunLook[] }) {
  return (
    <table class="runs">
      <thead>
        <tr>
          <th scope="col">State</th>
          <th scope="col">Run</th>
          <th scope="col">Agent</th>
          <th scope="col">Model</th>
          <th scope="col" class="right">
            Attempts
          </th>
          <th scope="col" class="right">
            Age
          </th>
          <th scope="col">Worker</th>
        </tr>
      </thead>
      <tbody>
        {runs.map((run) => (
          <tr key={run.id} class={openRun.value === run.id ? 'open' : ''}>
            <td>
              <State state={run.state} />
            </td>
            <td class="id">
              <RunLink run={run} />
            </td>
            <td>{run.agent}</td>
            <td class="model">{run.model}</td>
            <td class="right" data-label="attempts">
              {run.attempts}
            </td>
            <td class="right">{format.age(run.age_ms)}</td>
            <td class="id worker" title={run.worker ?? ''}>
              {run.worker ? tail(run.worker) : format.NONE}
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

/** Workers of one deployment begin alike: what tells them apart is at the end. */
function tail(id: string): string {
  return id.length > LONGEST_ID ? `…${id.slice(1 - LONGEST_ID)}` : id;
}

/** Covers its row, so that all of it can be clicked. */
function RunLink({ run }: { run: RunLook }) {
  return (
    <a class="row-link" href={runLink(run.id)} title={run.id}>
      {run.id}
    </a>
  );
}

const ICONS: Record<string, IconName> = {
  waiting: 'waiting',
  queued: 'waiting',
  running: 'running',
  deferred: 'deferred',
  succeeded: 'ok',
  failed: 'bad',
  cancelled: 'none',
};

export function State({ state }: { state: string }) {
  return (
    <span class={`state ${Object.hasOwn(ICONS, state) ? state : ''}`}>
      <Icon name={ICONS[state] ?? 'none'} />
      {state}
    </span>
  );
}

export function FailedRuns({ seen }: { seen: Overview }) {
  return (
    <section class="card" aria-labelledby="failed-title">
      <header class="section-head">
        <h2 id="failed-title">Recent failures</h2>
        <span class="count">{seen.failed.length || ''}</span>
      </header>
      {!seen.failed.length && <p class="empty">No run of the last hours has failed.</p>}
      <ul class="failures">
        {seen.failed.map((run) => (
          <Failure key={run.id} run={run} now={seen.at} />
        ))}
      </ul>
    </section>
  );
}

function Failure({ run, now }: { run: RunLook; now: number }) {
  const code = run.error ?? 'internal_error';
  const { means, remedy } = meaning(code);
  return (
    <li class={openRun.value === run.id ? 'open' : ''}>
      <p class="failure-head">
        <code class="code">{code}</code>
        <RunLink run={run} />
        <span class="muted">
          <bdi>{run.agent}</bdi> · <bdi>{run.model}</bdi> · {run.attempts === 1 ? '1 attempt' : `${run.attempts} attempts`}
        </span>
        <time class="muted" title={run.ended_at ? format.dateTime(run.ended_at) : ''}>
          {run.ended_at ? `${format.age(now - run.ended_at)} ago` : ''}
        </time>
      </p>
      <p>
        {means} <span class="muted">{remedy}</span>
      </p>
    </li>
  );
}
