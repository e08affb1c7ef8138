/** What the page has received of each run of the chat. */

import { useSyncExternalStore } from 'react';
import type { Entry, EntryKind, RunRecording } from '../network/run_recording';
import { timeline } from '../server';
import { Icon } from './icon';

const ICONS = {
  start: 'running', attempt: 'pulse', lost: 'warn', resumed: 'repeat', action: 'bad', done: 'ok', failed: 'bad',
} as const satisfies Record<EntryKind, string>;
const milliseconds = new Intl.NumberFormat('en');

export function TimelineView({ chatId }: { chatId: string }) {
  useSyncExternalStore(timeline.subscribe, () => timeline.version);
  const recordings = timeline.recordings(chatId);
  return (
    <section className="timeline" aria-labelledby="timeline">
      <h2 id="timeline">Timeline</h2>
      {!recordings.length && <p className="muted">The events of the next answer appear here.</p>}
      {recordings.toReversed().map((recording) => (
        <Recording key={recording.runId} recording={recording} />
      ))}
    </section>
  );
}

function Recording({ recording }: { recording: RunRecording }) {
  const { runId, attempt, offset, received, lost, repeated, longestPause, ended } = recording;
  return (
    <article className={ended ? 'recording' : 'recording live'} data-run={runId} data-summary={ended ? recording.summary : ''}>
      <dl>
        <Figure label="Attempt" value={attempt} />
        <Figure label="Event" value={attempt ? `${attempt}-${offset}` : '–'} />
        <Figure label="Received" value={received} />
        <Figure label="Lost" value={lost} />
        <Figure label="Repeated" value={repeated} />
        <Figure label="Longest pause" value={`${milliseconds.format(longestPause)} ms`} />
      </dl>
      <ol>
        {recording.entries.map((entry, index) => (
          <EntryView key={index} entry={entry} />
        ))}
      </ol>
    </article>
  );
}

function Figure({ label, value }: { label: string; value: number | string }) {
  return (
    <div>
      <dt>{label}</dt>
      <dd>{value}</dd>
    </div>
  );
}

function EntryView({ entry: { kind, at, text, pause } }: { entry: Entry }) {
  return (
    <li className={kind}>
      <Icon name={ICONS[kind]} />
      <span>
        {text}
        {pause !== undefined && <strong> Pause: {milliseconds.format(pause)} ms.</strong>}
      </span>
      <time>{(at / 1000).toFixed(1)} s</time>
    </li>
  );
}
