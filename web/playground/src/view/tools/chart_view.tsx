/** A chart. Its text alternative is a table, for users who cannot see it. */

import type { Chart } from '@mamba-server/client';
import {
  Area, AreaChart, Bar, BarChart, CartesianGrid, Cell, Legend, Line, LineChart, Pie, PieChart, ResponsiveContainer,
  Scatter, ScatterChart, Tooltip, XAxis, YAxis,
} from 'recharts';

const COLORS = ['var(--running)', 'var(--tokens)', 'var(--waiting)', 'var(--high)', 'var(--ok)', 'var(--bad)'];

type Row = Record<string, string | number | null>;

export function ChartView({ chart }: { chart: Chart }) {
  return (
    <figure className="card chart-figure" role="group" aria-label={chart.description ?? chart.title}>
      <figcaption>{chart.title}</figcaption>
      <ResponsiveContainer width="100%" height={260}>
        {draw(chart)}
      </ResponsiveContainer>
      {chart.description && <p className="muted">{chart.description}</p>}
    </figure>
  );
}

function draw(chart: Chart): React.ReactElement {
  const { type, series, horizontal, xAxis, yAxis } = chart;
  const color = (index: number) => series[index]?.color ?? COLORS[index % COLORS.length]!;
  const write = writer(yAxis);
  const tooltip = <Tooltip formatter={(value) => write(Number(value))} />;
  if (type === 'pie') {
    const slices = chart.categories!.map((name, index) => ({ name, value: series[0]!.values![index] }));
    return (
      <PieChart accessibilityLayer>
        <Pie data={slices} dataKey="value" nameKey="name" isAnimationActive={false} label>
          {slices.map(({ name }, index) => <Cell key={name} fill={COLORS[index % COLORS.length]!} />)}
        </Pie>
        {tooltip}
        <Legend />
      </PieChart>
    );
  }
  if (type === 'scatter') {
    return (
      <ScatterChart accessibilityLayer>
        <CartesianGrid stroke="var(--grid)" />
        <XAxis type="number" dataKey="x" name={xAxis?.label ?? 'x'} stroke="var(--muted)" />
        <YAxis type="number" dataKey="y" name={yAxis?.label ?? 'y'} tickFormatter={write} stroke="var(--muted)" />
        <Tooltip />
        <Legend />
        {series.map(({ name, points = [] }, index) => (
          <Scatter key={name} name={name} data={points} fill={color(index)} isAnimationActive={false} />
        ))}
      </ScatterChart>
    );
  }
  const axes = horizontal
    ? [<XAxis key="x" type="number" tickFormatter={write} stroke="var(--muted)" />, <YAxis key="y" type="category" dataKey="category" stroke="var(--muted)" width={90} />]
    : [<XAxis key="x" dataKey="category" stroke="var(--muted)" />, <YAxis key="y" tickFormatter={write} stroke="var(--muted)" width={70} />];
  const content = [<CartesianGrid key="grid" stroke="var(--grid)" vertical={horizontal} horizontal={!horizontal} />, ...axes, <Legend key="legend" />];
  const shape = { data: rowsOf(chart), accessibilityLayer: true } as const;
  const stack = chart.stacked ? { stackId: 'all' } : {};
  switch (type) {
    case 'bar':
      return (
        <BarChart {...shape} layout={horizontal ? 'vertical' : 'horizontal'}>
          {content}{tooltip}
          {series.map(({ name }, index) => <Bar key={name} dataKey={name} fill={color(index)} isAnimationActive={false} {...stack} />)}
        </BarChart>
      );
    case 'area':
      return (
        <AreaChart {...shape}>
          {content}{tooltip}
          {series.map(({ name }, index) => (
            <Area key={name} dataKey={name} stroke={color(index)} fill={color(index)} fillOpacity={0.3} isAnimationActive={false} {...stack} />
          ))}
        </AreaChart>
      );
    case 'line':
      return (
        <LineChart {...shape}>
          {content}{tooltip}
          {series.map(({ name }, index) => <Line key={name} dataKey={name} stroke={color(index)} strokeWidth={2} isAnimationActive={false} />)}
        </LineChart>
      );
  }
}

function rowsOf({ categories = [], series }: Chart): Row[] {
  return categories.map((category, index) => ({
    category,
    ...Object.fromEntries(series.map(({ name, values }) => [name, values?.[index] ?? null])),
  }));
}

function writer(axis: Chart['yAxis']): (value: number) => string {
  const digits = axis?.decimals === undefined ? {} : { minimumFractionDigits: axis.decimals, maximumFractionDigits: axis.decimals };
  switch (axis?.format) {
    case 'currency':
      return new Intl.NumberFormat('en', { style: 'currency', currency: axis.unit ?? 'USD', ...digits }).format;
    case 'percent':
      return (value) => `${new Intl.NumberFormat('en', digits).format(value)} %`;
    default:
      return new Intl.NumberFormat('en', { notation: axis?.format === 'compact' ? 'compact' : 'standard', ...digits }).format;
  }
}
