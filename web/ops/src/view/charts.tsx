/** The house over time. A chart's lines break where no sample was taken. */

import { signal } from '@preact/signals';
import * as format from '../format';
import { overview, samples } from '../house';
import { Chart, type Line } from './chart';

const RANGES = [
  { minutes: 5, label: '5 min' },
  { minutes: 15, label: '15 min' },
  { minutes: 60, label: '1 h' },
];
const minutes = signal(15);

interface Kind {
  title: string;
  lines: Line[];
  read: (value: number) => string;
  whole?: boolean;
  stacked?: boolean;
  wide?: boolean;
}

const line = (label: string, colour: string, of: Line['of']): Line => ({ label, colour, of });

const CHARTS: Kind[] = [
  {
    title: 'Queue',
    wide: true,
    stacked: true,
    read: format.count,
    whole: true,
    lines: [
      line('running', 'running', (sample) => sample.running),
      line('waiting', 'waiting', (sample) => sample.waiting),
      line('deferred', 'deferred', (sample) => sample.deferred),
    ],
  },
  {
    title: 'Answers / s',
    stacked: true,
    read: format.rate,
    lines: [
      line('succeeded', 'ok', (sample) => sample.succeeded),
      line('cancelled', 'deferred', (sample) => sample.cancelled),
      line('failed', 'bad', (sample) => sample.failed),
    ],
  },
  {
    title: 'Wait for a worker',
    read: format.span,
    whole: true,
    lines: [
      line('p95', 'high', (sample) => sample.wait_p95_ms),
      line('p50', 'half', (sample) => sample.wait_p50_ms),
    ],
  },
  {
    title: 'First token',
    read: format.span,
    whole: true,
    lines: [
      line('p95', 'high', (sample) => sample.first_token_p95_ms),
      line('p50', 'half', (sample) => sample.first_token_p50_ms),
    ],
  },
  {
    title: 'Tokens / s',
    read: format.rate,
    lines: [line('output', 'tokens', (sample) => sample.tokens)],
  },
];

export function Charts() {
  const now = overview.value?.at ?? Date.now();
  const from = now - minutes.value * 60_000;
  const shown = samples.value.filter((sample) => sample.at >= from - 15_000);
  return (
    <section aria-labelledby="charts-title">
      <header class="section-head">
        <h2 id="charts-title">Over time</h2>
        <Ranges />
      </header>
      <div class="charts">
        {CHARTS.map((kind) => (
          <Chart key={kind.title} {...kind} samples={shown} from={from} to={now} />
        ))}
      </div>
    </section>
  );
}

function Ranges() {
  return (
    <div class="switch" role="group" aria-label="Time range">
      {RANGES.map((range) => (
        <button
          key={range.minutes}
          type="button"
          aria-pressed={minutes.value === range.minutes}
          onClick={() => (minutes.value = range.minutes)}
        >
          {range.label}
        </button>
      ))}
    </div>
  );
}

