/** The metrics history as charts. Lines have gaps where samples are missing. */

import { signal } from '@preact/signals';
import * as format from '../format';
import { overview, samples } from '../system_state';
import { Chart, type Line } from './chart';

const RANGES = [
  { minutes: 5, label: '5 min' },
  { minutes: 15, label: '15 min' },
  { minutes: 60, label: '1 h' },
];
const minutes = signal(15);

interface ChartDefinition {
  title: string;
  lines: Line[];
  format: (value: number) => string;
  wholeTicks?: boolean;
  stacked?: boolean;
  wide?: boolean;
}

const line = (label: string, color: string, of: Line['of']): Line => ({ label, color, of });

const CHARTS: ChartDefinition[] = [
  {
    title: 'Queue',
    wide: true,
    stacked: true,
    format: format.count,
    wholeTicks: true,
    lines: [
      line('running', 'running', (sample) => sample.running),
      line('waiting', 'waiting', (sample) => sample.waiting),
      line('deferred', 'deferred', (sample) => sample.deferred),
    ],
  },
  {
    title: 'Finished runs / s',
    stacked: true,
    format: format.rate,
    lines: [
      line('succeeded', 'ok', (sample) => sample.succeeded),
      line('cancelled', 'deferred', (sample) => sample.cancelled),
      line('failed', 'bad', (sample) => sample.failed),
    ],
  },
  {
    title: 'Queue wait',
    format: format.duration,
    wholeTicks: true,
    lines: [
      line('p95', 'high', (sample) => sample.wait_p95_ms),
      line('p50', 'half', (sample) => sample.wait_p50_ms),
    ],
  },
  {
    title: 'First token',
    format: format.duration,
    wholeTicks: true,
    lines: [
      line('p95', 'high', (sample) => sample.first_token_p95_ms),
      line('p50', 'half', (sample) => sample.first_token_p50_ms),
    ],
  },
  {
    title: 'Tokens / s',
    format: format.rate,
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
        <h2 id="charts-title">History</h2>
        <Ranges />
      </header>
      <div class="charts">
        {CHARTS.map((chart) => (
          <Chart key={chart.title} {...chart} samples={shown} from={from} to={now} />
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

