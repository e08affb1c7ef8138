/** The panel of one run: its record, commands and answer. */

import { useComputed } from '@preact/signals';
import { useEffect, useMemo, useRef } from 'preact/hooks';
import type { Part } from '../answer';
import { describeError } from '../api/error_codes';
import { RunFollower } from '../run_follower';
import * as format from '../format';
import { overview } from '../system_state';
import { confirmMoveToFront, confirmRequeue, confirmStop, outcome } from '../commands';
import { closeRun } from '../navigation';
import type { Run } from '../api/types';
import { Icon } from './icons';
import { State } from './run_lists';

export function RunPanel({ id }: { id: string }) {
  const follower = useMemo(() => new RunFollower(id), [id]);
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => {
    const before = document.activeElement;
    heading.current?.focus();
    return () => {
      follower.close();
      if (before instanceof HTMLElement) before.focus();
    };
  }, [follower]);
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if (event.key === 'Escape' && !document.querySelector('dialog[open]')) closeRun();
    };
    addEventListener('keydown', onKey);
    return () => removeEventListener('keydown', onKey);
  }, []);
  const latest = overview.value;
  const lastOutcome = outcome.value;
  useEffect(() => {
    if (!follower.run.value?.ended_at) void follower.refresh();
  }, [follower, latest, lastOutcome]);

  const run = follower.run.value;
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
      {follower.problem.value && <p class="empty">{follower.problem.value}</p>}
      {run && <RunFacts run={run} />}
      {run?.error && <FailureReason code={run.error} />}
      {!follower.problem.value && <AnswerView follower={follower} ended={Boolean(run?.ended_at)} />}
    </aside>
  );
}

function RunFacts({ run }: { run: Run }) {
  const now = overview.value?.at ?? Date.now();
  const facts: [string, string][] = [
    ['Agent', run.agent],
    ['Model', run.model],
    ['Queue', run.queue],
    ...(run.priority === 'background' ? [['Priority', run.priority] as [string, string]] : []),
    ['Worker', run.worker ?? run.last_worker ?? format.NONE],
    ['Attempts', attempts(run)],
    ['Accepted', format.dateTime(run.admitted_at)],
    ['Waited', run.started_at ? format.duration(run.started_at - run.admitted_at) : format.age(now - run.admitted_at)],
    ['Duration', run.started_at ? format.duration((run.ended_at ?? now) - run.started_at) : format.NONE],
    ['Tokens', tokens(run)],
    ...(run.upstream ? [['Model server', run.upstream] as [string, string]] : []),
    ['Owner', run.owner],
    ['Request', run.request_id],
  ];
  return (
    <>
      <div class="panel-bar">
        <State state={run.state} />
        {!run.ended_at && (
          <>
            <button type="button" class="danger" onClick={() => confirmStop(run.id)}>
              Stop
            </button>
            <button type="button" onClick={() => confirmRequeue(run.id)} disabled={Boolean(run.worker)}>
              Requeue
            </button>
            <button type="button" onClick={() => confirmMoveToFront(run.id)} disabled={Boolean(run.worker)}>
              Move to front
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

function tokens(run: Run): string {
  if (!run.tokens) return format.NONE;
  return `${format.count(run.tokens.input_tokens)} input, ${format.count(run.tokens.output_tokens)} output`;
}

function attempts(run: Run): string {
  const crashed = run.attempt_log.filter((attempt) => attempt.outcome === 'crashed').length;
  const codes = run.attempt_log.flatMap((attempt) => attempt.code ?? []).filter((code) => code !== run.error);
  const details = [
    ...new Set(codes),
    crashed ? `${crashed} crashed` : '',
    run.failures ? `${run.failures} failed` : '',
    run.handovers ? `${run.handovers} handed over` : '',
  ].filter(Boolean);
  return details.length ? `${run.attempts} (${details.join(', ')})` : String(run.attempts);
}

function FailureReason({ code }: { code: string }) {
  const { meaning, remedy } = describeError(code);
  return (
    <div class="problem">
      <p>
        <code class="code">{code}</code> {meaning}
      </p>
      <p class="muted">{remedy}</p>
    </div>
  );
}

function AnswerView({ follower, ended }: { follower: RunFollower; ended: boolean }) {
  const answer = follower.answer.value;
  const box = useRef<HTMLDivElement>(null);
  const atEnd = useRef(true);
  const events = useComputed(() => format.count(follower.answer.value.events));
  useEffect(() => {
    if (atEnd.current && box.current) box.current.scrollTop = box.current.scrollHeight;
  });
  const onScroll = () => {
    const { scrollTop = 0, scrollHeight = 0, clientHeight = 0 } = box.current ?? {};
    atEnd.current = scrollHeight - scrollTop - clientHeight < 24;
  };
  return (
    <>
      <h3 class="answer-head">
        Answer
        <span class="count">
          {events} {events.value === '1' ? 'event' : 'events'}
          {follower.interrupted.value && !answer.end && ', reconnecting'}
        </span>
      </h3>
      <div class={ended || answer.end ? 'answer' : 'answer live'} ref={box} onScroll={onScroll} tabIndex={0} role="region" aria-label="Answer">
        {answer.parts.map((part) => (
          <PartView key={part.id} part={part} />
        ))}
        {!answer.parts.length && <p class="muted">{ended ? 'The answer is empty.' : 'No output yet.'}</p>}
      </div>
    </>
  );
}

function PartView({ part }: { part: Part }) {
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
