/** The tables of live runs and recent failures. */

import { signal } from '@preact/signals';
import { describeError } from '../api/error_codes';
import * as format from '../format';
import { deferred, running, waiting } from '../system_state';
import { openRun, runLink } from '../navigation';
import type { Overview, RunSummary } from '../api/types';
import { Icon, type IconName } from './icons';

const STATES = ['all', 'waiting', 'running', 'deferred'] as const;
const MAX_ID_LENGTH = 16;
const stateFilter = signal<(typeof STATES)[number]>('all');
const search = signal('');

export function LiveRuns({ system }: { system: Overview }) {
  const shown = system.live.filter(matchesFilter);
  const total = waiting.value + running.value + deferred.value;
  return (
    <section class="card" aria-labelledby="live-title">
      <header class="section-head">
        <h2 id="live-title">Live runs</h2>
        <span class="count">{countLabel(system.live.length, total)}</span>
        <Filter />
      </header>
      {shown.length ? <RunTable runs={shown} /> : <NoRuns system={system} total={total} />}
    </section>
  );
}

function countLabel(shown: number, total: number): string {
  return shown < total ? `first ${format.count(shown)} of ${format.count(total)}` : format.count(shown);
}

function matchesFilter(run: RunSummary): boolean {
  const stateMatches = stateFilter.value === 'all' || stateFilter.value === run.state;
  const text = [run.id, run.agent, run.model, run.queue, run.worker ?? ''].join(' ').toLowerCase();
  return stateMatches && text.includes(search.value.trim().toLowerCase());
}

function Filter() {
  return (
    <div class="filter">
      <label class="search">
        <Icon name="search" />
        <input
          type="search"
          name="filter"
          placeholder="Run, agent, model, worker"
          aria-label="Filter runs by ID, agent, model, queue, or worker"
          value={search.value}
          onInput={(event) => (search.value = event.currentTarget.value)}
        />
      </label>
      <div class="switch" role="group" aria-label="State">
        {STATES.map((state) => (
          <button
            key={state}
            type="button"
            aria-pressed={stateFilter.value === state}
            onClick={() => (stateFilter.value = state)}
          >
            {state}
          </button>
        ))}
      </div>
    </div>
  );
}

function NoRuns({ system, total }: { system: Overview; total: number }) {
  if (total) return <p class="empty">No run matches the filter.</p>;
  if (!system.workers.length) return <NoWorkers />;
  return <p class="empty">No runs are waiting or running. New runs appear here.</p>;
}

export function NoWorkers() {
  return (
    <p class="empty">
      No worker is running. Start one with <code>mamba worker</code>. To find out why a worker exited, read its
      log or run <code>mamba doctor</code>.
    </p>
  );
}

function RunTable({ runs }: { runs: RunSummary[] }) {
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
            <td>
              {run.agent}
              {run.priority === 'background' && ' (background)'}
            </td>
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

/** Worker ids of one deployment share a prefix and differ at the end. */
function tail(id: string): string {
  return id.length > MAX_ID_LENGTH ? `…${id.slice(1 - MAX_ID_LENGTH)}` : id;
}

/** Covers its row, so that the whole row is clickable. */
function RunLink({ run }: { run: RunSummary }) {
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

export function FailedRuns({ system }: { system: Overview }) {
  return (
    <section class="card" aria-labelledby="failed-title">
      <header class="section-head">
        <h2 id="failed-title">Recent failures</h2>
        <span class="count">{system.failed.length || ''}</span>
      </header>
      {!system.failed.length && <p class="empty">No recent failures.</p>}
      <ul class="failures">
        {system.failed.map((run) => (
          <Failure key={run.id} run={run} now={system.at} />
        ))}
      </ul>
    </section>
  );
}

function Failure({ run, now }: { run: RunSummary; now: number }) {
  const code = run.error ?? 'internal_error';
  const { meaning, remedy } = describeError(code);
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
        {meaning} <span class="muted">{remedy}</span>
      </p>
    </li>
  );
}
