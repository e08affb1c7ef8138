/** One chart, drawn by uPlot. Its legend is HTML, for screen readers. */

import { useSignal, type Signal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import * as format from '../format';
import { isDark } from '../theme';
import type { Sample } from '../api/types';

export interface Line {
  label: string;
  /** The name of a color variable in the style sheet. */
  color: string;
  of: (sample: Sample) => number | null;
}

interface Props {
  title: string;
  lines: Line[];
  format: (value: number) => string;
  /** Only whole ticks: fractions would be formatted as duplicates. */
  wholeTicks?: boolean;
  stacked?: boolean;
  wide?: boolean;
  samples: Sample[];
  from: number;
  to: number;
}

/** Samples are 5 seconds apart: a longer interval is a gap. */
const GAP_MS = 12_500;
const HEIGHT = 148;
/** Distances between ticks, in seconds. */
const TIME_STEPS = [60, 120, 300, 600, 900];
const WHOLE_STEPS = Array.from({ length: 9 }, (_, power) => [1, 2, 5].map((each) => each * 10 ** power)).flat();
const CURSOR_GROUP = 'console';

export function Chart(props: Props) {
  const { title, lines, format: formatValue, samples } = props;
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const hovered = useSignal<number | null>(null);
  const dark = isDark.value;

  useEffect(() => {
    if (!box.current) return;
    const drawn = draw(box.current, props, hovered);
    plot.current = drawn;
    const resized = new ResizeObserver(([entry]) => {
      if (entry) drawn.setSize({ width: entry.contentRect.width, height: HEIGHT });
    });
    resized.observe(box.current);
    return () => {
      resized.disconnect();
      drawn.destroy();
    };
  }, [dark]);

  useEffect(() => {
    plot.current?.batch(() => {
      plot.current?.setData(columns(props), false);
      plot.current?.setScale('x', { min: props.from / 1000, max: props.to / 1000 });
    });
  });

  const shown = hovered.value === null ? samples.at(-1) : nearest(samples, hovered.value);
  return (
    <figure class={props.wide ? 'chart wide' : 'chart'} data-chart={title}>
      <figcaption>
        <h3>{title}</h3>
        <span class="at">{hovered.value !== null && shown ? format.time(shown.at) : 'now'}</span>
        <dl>
          {lines.map((line) => (
            <div key={line.label}>
              <dt>
                <i class={`key ${line.color}`} />
                {line.label}
              </dt>
              <dd>{formatOrNone(shown && line.of(shown), formatValue)}</dd>
            </div>
          ))}
        </dl>
      </figcaption>
      <div class="plot" ref={box} />
      {samples.length < 2 && <p class="empty">The first samples arrive within 10 seconds.</p>}
    </figure>
  );
}

function formatOrNone(value: number | null | undefined, formatValue: (value: number) => string): string {
  return value === null || value === undefined ? format.NONE : formatValue(value);
}

function nearest(samples: Sample[], at: number): Sample | undefined {
  const closer = (a: Sample, b: Sample) => (Math.abs(b.at - at) < Math.abs(a.at - at) ? b : a);
  return samples.length ? samples.reduce(closer) : undefined;
}

function draw(box: HTMLDivElement, props: Props, hovered: Signal<number | null>): uPlot {
  const style = getComputedStyle(document.documentElement);
  const color = (name: string) => style.getPropertyValue(`--${name}`).trim();
  const axis: uPlot.Axis = {
    stroke: color('muted'),
    font: '11px system-ui, sans-serif',
    grid: { stroke: color('grid'), width: 1 },
    ticks: { show: false },
  };
  const options: uPlot.Options = {
    width: box.clientWidth || 300,
    height: HEIGHT,
    padding: [8, 6, 0, 0],
    legend: { show: false },
    cursor: { sync: { key: CURSOR_GROUP }, points: { size: 6 }, drag: { x: false, y: false } },
    scales: { x: { time: true, auto: false }, y: { range: (_, __, max) => [0, scaleMax(max)] } },
    axes: [
      { ...axis, space: 64, size: 26, incrs: TIME_STEPS, values: (_, at) => at.map((each) => clock(each)) },
      { ...axis, ...(props.wholeTicks && { incrs: WHOLE_STEPS }), size: 52, space: 34, values: (_, at) => at.map((each) => props.format(each)) },
    ],
    bands: bands(props),
    series: [{}, ...drawingOrder(props).map(({ color: name }) => series(props, color(name)))],
    hooks: {
      setCursor: [(plot) => (hovered.value = timeUnderPointer(plot))],
    },
  };
  return new uPlot(options, columns(props), box);
}

function series({ stacked }: Props, color: string): uPlot.Series {
  return {
    stroke: color,
    width: 1.5,
    points: { show: false, filter: (plot, index) => isolatedPoints(plot.data[index] ?? []), size: 4, fill: color },
    ...(stacked ? { fill: `${color}66` } : {}),
  };
}

/** Indexes of values without neighbors, which no line connects. */
function isolatedPoints(values: uPlot.AlignedData[number]): number[] {
  const missing = (at: number) => (values[at] ?? null) === null;
  return [...values.keys()].filter((at) => !missing(at) && missing(at - 1) && missing(at + 1));
}

/** A stacked line is filled down to the next line only. */
function bands({ lines, stacked }: Props): uPlot.Band[] {
  return stacked ? lines.slice(1).map((_, index) => ({ series: [index + 1, index + 2] })) : [];
}

/** The time under the pointer, in Unix ms. */
function timeUnderPointer(plot: uPlot): number | null {
  const left = plot.cursor.left ?? -1;
  return left < 0 ? null : plot.posToVal(left, 'x') * 1000;
}

function clock(seconds: number): string {
  return format.time(seconds * 1000).slice(0, 5);
}

/** The upper end of the scale: some headroom, and at least 1. */
function scaleMax(highest: number | null): number {
  return highest ? highest * 1.1 : 1;
}

/** Lines in drawing order: of stacked lines the highest first, and the lower ones over it. */
function drawingOrder({ lines, stacked }: Props): Line[] {
  return stacked ? lines.toReversed() : lines;
}

function columns(props: Props): uPlot.AlignedData {
  const points = withGaps(props.samples);
  const values = (line: Line) => points.map(({ sample }) => (sample ? height(props, line, sample) : null));
  return [points.map(({ at }) => at / 1000), ...drawingOrder(props).map(values)] as uPlot.AlignedData;
}

/** A line's height at a sample; a stacked line includes the lines below it. */
function height({ lines, stacked }: Props, line: Line, sample: Sample): number | null {
  if (!stacked) return line.of(sample);
  const below = lines.slice(0, lines.indexOf(line) + 1);
  return below.reduce((sum, each) => sum + (each.of(sample) ?? 0), 0);
}

function withGaps(samples: Sample[]): { at: number; sample: Sample | null }[] {
  return samples.flatMap((sample, index) => {
    const before = samples[index - 1];
    const gap = before && sample.at - before.at > GAP_MS;
    const point = { at: sample.at, sample };
    return gap ? [{ at: before.at + GAP_MS / 2, sample: null }, point] : [point];
  });
}
