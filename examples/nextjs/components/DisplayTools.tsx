import type {
  Act, Card, Chart, Code, Condition, DisplayTools, Form, FormField, MambaData, MambaMetadata,
} from '@mamba-server/client';
import type { UIMessage } from 'ai';
import { useState } from 'react';
import Markdown from 'react-markdown';

type Message = UIMessage<MambaMetadata, MambaData, DisplayTools>;
type Props = { part: Message['parts'][number]; send: (text: string) => void; act: Act };

export function DisplayTool({ part, send, act }: Props) {
  switch (part.type) {
    case 'tool-generateForm':
      return part.state === 'output-available' && <FormView form={part.output} send={send} />;
    case 'tool-generateChart':
      return part.state === 'output-available' && <ChartView chart={part.output} />;
    case 'tool-generateCode':
      return part.state === 'output-available' && <CodeView block={part.output} />;
    case 'tool-generateCard':
      return part.state === 'output-available' && <CardView card={part.output} send={send} act={act} />;
    default:
      return null;
  }
}
export function FormView({ form, send }: { form: Form; send: (text: string) => void }) {
  const [values, setValues] = useState<Record<string, unknown>>(() =>
    Object.fromEntries(form.fields.flatMap((f) => ('default' in f ? [[f.name, f.default]] : []))),
  );
  const seen: FormField[] = [];
  for (const field of form.fields) if (holds(field.visibleWhen, values, seen)) seen.push(field);
  const submit = (event: React.FormEvent) => {
    event.preventDefault();
    send(JSON.stringify(Object.fromEntries(seen.map((f) => [f.name, values[f.name]]))));
  };
  return (
    <form onSubmit={submit}>
      <h3>{form.title}</h3>
      {form.description && <p>{form.description}</p>}
      {seen.map((field) => (
        <label key={field.name}>
          {field.label}
          <Input field={field} value={values[field.name]} set={(v) => setValues({ ...values, [field.name]: v })} />
          {field.help && <small>{field.help}</small>}
        </label>
      ))}
      <button>{form.submitLabel}</button>
    </form>
  );
}

function holds(condition: Condition | undefined, values: Record<string, unknown>, seen: FormField[]) {
  if (!condition) return true;
  if (!seen.some((field) => field.name === condition.field)) return false;
  const value = values[condition.field];
  return Array.isArray(value) ? value.includes(condition.equals) : value === condition.equals;
}

function Input({ field, value, set }: { field: FormField; value: unknown; set: (value: unknown) => void }) {
  const { name, required } = field;
  switch (field.type) {
    case 'textarea':
      return <textarea {...{ name, required }} placeholder={field.placeholder} minLength={field.minLength}
        maxLength={field.maxLength} value={String(value ?? '')} onChange={(e) => set(e.target.value)} />;
    case 'number':
      return <><input type="number" {...{ name, required }} placeholder={field.placeholder} min={field.min}
        max={field.max} step={field.step ?? 'any'} value={Number.isFinite(value) ? Number(value) : ''}
        onChange={(e) => set(e.target.valueAsNumber)} /> {field.unit}</>;
    case 'select':
      return <select {...{ name, required }} value={String(value ?? '')} onChange={(e) => set(e.target.value)}>
        <option value="">{field.placeholder}</option>
        {field.options.map((o) => <option key={o.value} value={o.value}>{o.label}</option>)}
      </select>;
    case 'radio':
      return field.options.map((o) => <label key={o.value}><input type="radio" {...{ name, required }}
        checked={value === o.value} onChange={() => set(o.value)} /> {o.label}</label>);
    case 'multi-select': // minItems and maxItems are for you to check
      return <select multiple {...{ name, required }} value={(value as string[]) ?? []}
        onChange={(e) => set(Array.from(e.target.selectedOptions, (o) => o.value))}>
        {field.options.map((o) => <option key={o.value} value={o.value}>{o.label}</option>)}
      </select>;
    case 'checkbox':
      return <input type="checkbox" {...{ name, required }} checked={value === true}
        onChange={(e) => set(e.target.checked)} />;
    case 'file':
      return <input type="file" {...{ name, required }} accept={field.accept?.join(',')}
        multiple={field.multiple} onChange={(e) => set(Array.from(e.target.files ?? [], (f) => f.name))} />;
    case 'date':
    case 'time':
      return <input type={field.type} step={field.type === 'time' ? 1 : undefined} {...{ name, required }}
        min={field.min} max={field.max} value={String(value ?? '')} onChange={(e) => set(e.target.value)} />;
    default: // text, email, url, tel
      return <input type={field.type} {...{ name, required }} placeholder={field.placeholder}
        minLength={field.minLength} maxLength={field.maxLength} pattern={field.pattern}
        value={String(value ?? '')} onChange={(e) => set(e.target.value)} />;
  }
}
import { Bar, BarChart, Legend, Tooltip, XAxis, YAxis } from 'recharts';

export function ChartView({ chart }: { chart: Chart }) {
  if (chart.type !== 'bar') return null; // the other types are similar
  const rows = chart.categories!.map((category, n) =>
    Object.assign({ category }, ...chart.series.map((s) => ({ [s.name]: s.values![n] }))),
  );
  const write = writer(chart.yAxis);
  return (
    <figure role="img" aria-label={chart.description ?? chart.title}>
      <figcaption>{chart.title}</figcaption>
      <BarChart width={640} height={360} data={rows} layout={chart.horizontal ? 'vertical' : 'horizontal'}>
        <XAxis {...(chart.horizontal ? { type: 'number', tickFormatter: write } : { dataKey: 'category' })} />
        <YAxis
          width="auto"
          {...(chart.horizontal ? { type: 'category', dataKey: 'category' } : { tickFormatter: write })}
        />
        <Tooltip formatter={(value) => write(Number(value))} />
        {chart.series.length > 1 && <Legend />}
        {chart.series.map((s, n) => (
          <Bar key={s.name} dataKey={s.name} fill={s.color ?? `hsl(${210 + n * 137} 60% 45%)`}
            {...(chart.stacked && { stackId: 'one' })} />
        ))}
      </BarChart>
    </figure>
  );
}

function writer(axis: Chart['yAxis']): (value: number) => string {
  const digits = { minimumFractionDigits: axis?.decimals, maximumFractionDigits: axis?.decimals };
  switch (axis?.format) {
    case 'currency':
      return new Intl.NumberFormat(undefined, { style: 'currency', currency: axis.unit, ...digits }).format;
    case 'percent':
      return (value) => `${new Intl.NumberFormat(undefined, digits).format(value)} %`;
    default: {
      const notation = axis?.format === 'compact' ? 'compact' : 'standard';
      const format = new Intl.NumberFormat(undefined, { notation, ...digits }).format;
      return (value) => (axis?.unit ? `${format(value)} ${axis.unit}` : format(value));
    }
  }
}
export function CodeView({ block }: { block: Code }) {
  const marked = new Set(block.highlightedLines);
  return (
    <figure>
      <figcaption>{block.title ?? block.filename}</figcaption>
      <pre><code className={`language-${block.language}`}>
        {block.code.replace(/\n$/, '').split('\n').map((line, n) => (
          <span key={n} className={marked.has(block.startLine + n) ? 'marked' : undefined}>{line}{'\n'}</span>
        ))}
      </code></pre>
    </figure>
  );
}
export function CardView({ card, send, act }: { card: Card; send: (text: string) => void; act: Act }) {
  return (
    <article className={card.layout}>
      {card.media && <img src={card.media.url} alt={card.media.alt} />}
      <h3>{card.title}</h3>
      {card.subtitle && <h4>{card.subtitle}</h4>}
      {card.badges?.map((badge) => <span key={badge.label} className={badge.tone}>{badge.label}</span>)}
      {card.body && <Markdown>{card.body}</Markdown>}
      <dl>{card.facts?.map((fact) => <div key={fact.label}><dt>{fact.label}</dt><dd>{fact.value}</dd></div>)}</dl>
      {card.actions?.map((action) => {
        const { label, style } = action;
        if (action.type === 'link') return <a key={label} className={style} href={action.url} rel="noopener">{label}</a>;
        const click = () => (action.type === 'reply' ? send(action.text) : act(action.name, action.values));
        return <button key={label} className={style} onClick={click}>{label}</button>;
      })}
    </article>
  );
}
