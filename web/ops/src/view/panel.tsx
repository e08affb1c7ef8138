/** One run beside the others: what is known of it, what it says, and what can be done about it. */

import { useComputed } from '@preact/signals';
import { useEffect, useMemo, useRef } from 'preact/hooks';
import type { Part } from '../chunks';
import { meaning } from '../codes';
import { Following } from '../following';
import * as format from '../format';
import { overview } from '../house';
import { askToRequeue, askToStop, result } from '../orders';
import { closeRun } from '../place';
import type { Run } from '../wire';
import { Icon } from './icons';
import { State } from './runs';

export function Panel({ id }: { id: string }) {
  const following = useMemo(() => new Following(id), [id]);
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => {
    const before = document.activeElement;
    heading.current?.focus();
    return () => {
      following.close();
      if (before instanceof HTMLElement) before.focus();
    };
  }, [following]);
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if (event.key === 'Escape' && !document.querySelector('dialog[open]')) closeRun();
    };
    addEventListener('keydown', onKey);
    return () => removeEventListener('keydown', onKey);
  }, []);
  const look = overview.value;
  const told = result.value;
  useEffect(() => {
    if (!following.run.value?.ended_at) void following.refresh();
  }, [following, look, told]);

  const run = following.run.value;
  return (
    <aside class="panel" aria-labelledby="panel-title">
      <header>
        <h2 id="panel-title" tabIndex={-1} ref={heading}>
          Run <span class="id">{id}</span>
        </h2>
        <button type="button" class="bare" aria-label="Close" onClick={closeRun}>
          <Icon name="close" />
        </button>
      </header>
      {following.problem.value && <p class="empty">{following.problem.value}</p>}
      {run && <Facts run={run} />}
      {run?.error && <Failed code={run.error} />}
      {!following.problem.value && <Said following={following} ended={Boolean(run?.ended_at)} />}
    </aside>
  );
}

function Facts({ run }: { run: Run }) {
  const now = overview.value?.at ?? Date.now();
  const facts: [string, string][] = [
    ['Agent', run.agent],
    ['Model', run.model],
    ['Queue', run.queue],
    ['Worker', run.worker ?? format.NONE],
    ['Attempts', attempts(run)],
    ['Accepted', format.dateTime(run.created_at)],
    ['Waited', run.started_at ? format.span(run.started_at - run.created_at) : format.age(now - run.created_at)],
    ['Took', run.started_at ? format.span((run.ended_at ?? now) - run.started_at) : format.NONE],
    ['Owner', run.owner],
    ['Request', run.request_id],
  ];
  return (
    <>
      <div class="panel-bar">
        <State state={run.state} />
        {!run.ended_at && (
          <>
            <button type="button" class="danger" onClick={() => askToStop(run.id)}>
              Stop
            </button>
            <button type="button" onClick={() => askToRequeue(run.id)} disabled={Boolean(run.worker)}>
              Requeue
            </button>
          </>
        )}
      </div>
      <dl class="facts">
        {facts.map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd title={value}>{value}</dd>
          </div>
        ))}
      </dl>
    </>
  );
}

function attempts(run: Run): string {
  const why = [
    run.failures ? `${run.failures} failed` : '',
    run.handovers ? `${run.handovers} handed over` : '',
  ].filter(Boolean);
  return why.length ? `${run.attempts} (${why.join(', ')})` : String(run.attempts);
}

function Failed({ code }: { code: string }) {
  const { means, remedy } = meaning(code);
  return (
    <div class="problem">
      <p>
        <code class="code">{code}</code> {means}
      </p>
      <p class="muted">{remedy}</p>
    </div>
  );
}

function Said({ following, ended }: { following: Following; ended: boolean }) {
  const answer = following.answer.value;
  const box = useRef<HTMLDivElement>(null);
  const atEnd = useRef(true);
  const events = useComputed(() => format.count(following.answer.value.events));
  useEffect(() => {
    if (atEnd.current && box.current) box.current.scrollTop = box.current.scrollHeight;
  });
  const onScroll = () => {
    const { scrollTop = 0, scrollHeight = 0, clientHeight = 0 } = box.current ?? {};
    atEnd.current = scrollHeight - scrollTop - clientHeight < 24;
  };
  return (
    <>
      <h3 class="said-head">
        Answer
        <span class="count">
          {events} {events.value === '1' ? 'event' : 'events'}
          {following.broken.value && !answer.end && ', waiting to reconnect'}
        </span>
      </h3>
      <div class={ended || answer.end ? 'said' : 'said live'} ref={box} onScroll={onScroll} tabIndex={0} role="region" aria-label="Answer">
        {answer.parts.map((part) => (
          <Shown key={part.id} part={part} />
        ))}
        {!answer.parts.length && <p class="muted">{ended ? 'It said nothing.' : 'Nothing has been said yet.'}</p>}
      </div>
    </>
  );
}

function Shown({ part }: { part: Part }) {
  switch (part.kind) {
    case 'text':
      return <p class="text">{part.text}</p>;
    case 'reasoning':
      return (
        <details class="reasoning">
          <summary>Reasoning, {format.count(part.text.length)} characters</summary>
          <p class="text">{part.text}</p>
        </details>
      );
    case 'tool':
      return (
        <details class="tool">
          <summary>
            <code>{part.name || 'tool'}</code> <span class="muted">{part.state}</span>
          </summary>
          <h4>Input</h4>
          <pre>{part.input || format.NONE}</pre>
          <h4>Output</h4>
          <pre>{part.output || format.NONE}</pre>
        </details>
      );
    case 'note':
      return <p class={part.bad ? 'note bad' : 'note'}>{part.text}</p>;
  }
}
