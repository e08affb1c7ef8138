import type { Code } from '@mamba-server/client';
import { CodeBlock } from '../markdown';

/** Code, or the change from `before` to it. */
export function CodeView({ block }: { block: Code }) {
  const { language, code, before, title, filename } = block;
  return (
    <figure className="card code-figure">
      <figcaption>
        {title ?? filename ?? language} {title && filename && <span className="muted">{filename}</span>}
      </figcaption>
      {before === undefined ? <CodeBlock language={language} code={code} /> : <CodeBlock language="diff" code={diff(before, code)} />}
    </figure>
  );
}

/** The lines between the first and the last change. */
function diff(before: string, after: string): string {
  const [old, fresh] = [before.split('\n'), after.split('\n')];
  let start = 0;
  while (start < old.length && start < fresh.length && old[start] === fresh[start]) start += 1;
  let end = 0;
  while (end < Math.min(old.length, fresh.length) - start && old.at(-1 - end) === fresh.at(-1 - end)) end += 1;
  const same = (line: string) => ` ${line}`;
  return [
    ...old.slice(0, start).map(same),
    ...old.slice(start, old.length - end).map((line) => `-${line}`),
    ...fresh.slice(start, fresh.length - end).map((line) => `+${line}`),
    ...old.slice(old.length - end).map(same),
  ].join('\n');
}
