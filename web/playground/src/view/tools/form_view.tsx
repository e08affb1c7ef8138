import type { Form, FormField } from '@mamba-server/client';
import { useState } from 'react';

type Condition = NonNullable<FormField['visibleWhen']>;
type Values = Record<string, unknown>;

/** A form whose values are sent as the next message, in JSON. */
export function FormView({ form, send }: { form: Form; send: (text: string) => void }) {
  const [values, setValues] = useState<Values>(() =>
    Object.fromEntries(form.fields.flatMap((field) => ('default' in field ? [[field.name, field.default]] : []))),
  );
  const [isSent, setSent] = useState(false);
  const seen: FormField[] = [];
  for (const field of form.fields) if (holds(field.visibleWhen, values, seen)) seen.push(field);

  function submit(event: React.FormEvent): void {
    event.preventDefault();
    setSent(true);
    send(JSON.stringify(Object.fromEntries(seen.map((field) => [field.name, values[field.name]]))));
  }

  return (
    <form className="card display-form" onSubmit={submit}>
      <h3>{form.title}</h3>
      {form.description && <p className="muted">{form.description}</p>}
      {seen.map((field) => {
        const set = (value: unknown) => setValues({ ...values, [field.name]: value });
        return (
          <label key={field.name} className={field.type === 'checkbox' ? 'checkbox' : ''}>
            <span>{field.label}{field.required && ' *'}</span>
            <Input field={field} value={values[field.name]} set={set} />
            {field.help && <small className="muted">{field.help}</small>}
          </label>
        );
      })}
      <button type="submit" className="primary" disabled={isSent}>{form.submitLabel}</button>
    </form>
  );
}

function holds(condition: Condition | undefined, values: Values, seen: FormField[]): boolean {
  if (!condition) return true;
  if (!seen.some((field) => field.name === condition.field)) return false;
  const value = values[condition.field];
  return Array.isArray(value) ? value.includes(condition.equals) : value === condition.equals;
}

function Input({ field, value, set }: { field: FormField; value: unknown; set: (value: unknown) => void }) {
  const { name, required } = field;
  switch (field.type) {
    case 'textarea':
      return <textarea name={name} required={required} placeholder={field.placeholder} minLength={field.minLength}
        maxLength={field.maxLength} value={String(value ?? '')} onChange={(event) => set(event.target.value)} />;
    case 'number':
      return <input type="number" name={name} required={required} placeholder={field.placeholder} min={field.min}
        max={field.max} step={field.step ?? 'any'} value={Number.isFinite(value) ? Number(value) : ''}
        onChange={(event) => set(event.target.valueAsNumber)} />;
    case 'select':
      return (
        <select name={name} required={required} value={String(value ?? '')} onChange={(event) => set(event.target.value)}>
          <option value="">{field.placeholder}</option>
          {field.options.map((option) => <option key={option.value} value={option.value}>{option.label}</option>)}
        </select>
      );
    case 'radio':
      return field.options.map((option) => (
        <label key={option.value} className="checkbox">
          <span>{option.label}</span>
          <input type="radio" name={name} required={required} checked={value === option.value} onChange={() => set(option.value)} />
        </label>
      ));
    case 'multi-select':
      return (
        <select multiple name={name} required={required} value={(value as string[] | undefined) ?? []}
          onChange={(event) => set(Array.from(event.target.selectedOptions, (option) => option.value))}>
          {field.options.map((option) => <option key={option.value} value={option.value}>{option.label}</option>)}
        </select>
      );
    case 'checkbox':
      return <input type="checkbox" name={name} required={required} checked={value === true} onChange={(event) => set(event.target.checked)} />;
    case 'file':
      return <input type="file" name={name} required={required} accept={field.accept?.join(',')} multiple={field.multiple}
        onChange={(event) => set(Array.from(event.target.files ?? [], (file) => file.name))} />;
    case 'date':
    case 'time':
      return <input type={field.type} step={field.type === 'time' ? 1 : undefined} name={name} required={required}
        min={field.min} max={field.max} value={String(value ?? '')} onChange={(event) => set(event.target.value)} />;
    default:
      return <input type={field.type} name={name} required={required} placeholder={field.placeholder} minLength={field.minLength}
        maxLength={field.maxLength} pattern={field.pattern} value={String(value ?? '')} onChange={(event) => set(event.target.value)} />;
  }
}
