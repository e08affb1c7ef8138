/** One chart, drawn by uPlot; its legend is ours, and is what a screen reader reads. */

import { useSignal, type Signal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import * as format from '../format';
import { isDark } from '../theme';
import type { Sample } from '../wire';

export interface Line {
  label: string;
  /** The name of a colour of the style sheet. */
  colour: string;
  of: (sample: Sample) => number | null;
}

interface Props {
  title: string;
  lines: Line[];
  read: (value: number) => string;
  /** Its ticks are: read to the next whole number, halves would be there twice. */
  whole?: boolean;
  stacked?: boolean;
  wide?: boolean;
  samples: Sample[];
  from: number;
  to: number;
}

/** Samples come every 5 seconds: further apart, none was taken between them. */
const GAP_MS = 12_500;
const HEIGHT = 148;
/** How far ticks may be apart, in seconds. */
const MINUTES = [60, 120, 300, 600, 900];
const WHOLE = Array.from({ length: 9 }, (_, power) => [1, 2, 5].map((each) => each * 10 ** power)).flat();
const CURSORS = 'console';

export function Chart(props: Props) {
  const { title, lines, read, samples } = props;
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const hovered = useSignal<number | null>(null);
  const dark = isDark.value;

  useEffect(() => {
    if (!box.current) return;
    const made = draw(box.current, props, hovered);
    plot.current = made;
    const resized = new ResizeObserver(([entry]) => {
      if (entry) made.setSize({ width: entry.contentRect.width, height: HEIGHT });
    });
    resized.observe(box.current);
    return () => {
      resized.disconnect();
      made.destroy();
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
                <i class={`key ${line.colour}`} />
                {line.label}
              </dt>
              <dd>{written(shown && line.of(shown), read)}</dd>
            </div>
          ))}
        </dl>
      </figcaption>
      <div class="plot" ref={box} />
      {samples.length < 2 && <p class="empty">The first samples come within 10 seconds.</p>}
    </figure>
  );
}

function written(value: number | null | undefined, read: (value: number) => string): string {
  return value === null || value === undefined ? format.NONE : read(value);
}

function nearest(samples: Sample[], at: number): Sample | undefined {
  const closer = (a: Sample, b: Sample) => (Math.abs(b.at - at) < Math.abs(a.at - at) ? b : a);
  return samples.length ? samples.reduce(closer) : undefined;
}

function draw(box: HTMLDivElement, props: Props, hovered: Signal<number | null>): uPlot {
  const style = getComputedStyle(document.documentElement);
  const colour = (name: string) => style.getPropertyValue(`--${name}`).trim();
  const axis: uPlot.Axis = {
    stroke: colour('muted'),
    font: '11px system-ui, sans-serif',
    grid: { stroke: colour('grid'), width: 1 },
    ticks: { show: false },
  };
  const options: uPlot.Options = {
    width: box.clientWidth || 300,
    height: HEIGHT,
    padding: [8, 6, 0, 0],
    legend: { show: false },
    cursor: { sync: { key: CURSORS }, points: { size: 6 }, drag: { x: false, y: false } },
    scales: { x: { time: true, auto: false }, y: { range: (_, __, max) => [0, top(max)] } },
    axes: [
      { ...axis, space: 64, size: 26, incrs: MINUTES, values: (_, at) => at.map((each) => clock(each)) },
      { ...axis, ...(props.whole && { incrs: WHOLE }), size: 52, space: 34, values: (_, at) => at.map((each) => props.read(each)) },
    ],
    bands: bands(props),
    series: [{}, ...drawn(props).map(({ colour: name }) => series(props, colour(name)))],
    hooks: {
      setCursor: [(plot) => (hovered.value = under(plot))],
    },
  };
  return new uPlot(options, columns(props), box);
}

function series({ stacked }: Props, colour: string): uPlot.Series {
  return {
    stroke: colour,
    width: 1.5,
    points: { show: false, filter: (plot, index) => alone(plot.data[index] ?? []), size: 4, fill: colour },
    ...(stacked ? { fill: `${colour}66` } : {}),
  };
}

/** Where the values without a neighbour are: no line leads to them. */
function alone(values: uPlot.AlignedData[number]): number[] {
  const missing = (at: number) => (values[at] ?? null) === null;
  return [...values.keys()].filter((at) => !missing(at) && missing(at - 1) && missing(at + 1));
}

/** What is stacked is filled down to the next line only. */
function bands({ lines, stacked }: Props): uPlot.Band[] {
  return stacked ? lines.slice(1).map((_, index) => ({ series: [index + 1, index + 2] })) : [];
}

/** Where the pointer is, in Unix ms. */
function under(plot: uPlot): number | null {
  const left = plot.cursor.left ?? -1;
  return left < 0 ? null : plot.posToVal(left, 'x') * 1000;
}

function clock(seconds: number): string {
  return format.time(seconds * 1000).slice(0, 5);
}

/** A scale never ends below what is worth reading. */
function top(highest: number | null): number {
  return highest ? highest * 1.1 : 1;
}

/** In the order of drawing: of stacked lines the highest goes first, the lower ones over it. */
function drawn({ lines, stacked }: Props): Line[] {
  return stacked ? lines.toReversed() : lines;
}

function columns(props: Props): uPlot.AlignedData {
  const points = withGaps(props.samples);
  const values = (line: Line) => points.map(({ sample }) => (sample ? height(props, line, sample) : null));
  return [points.map(({ at }) => at / 1000), ...drawn(props).map(values)] as uPlot.AlignedData;
}

/** A line's height at a sample; of stacked ones with those below it. */
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
