/** Markdown without raw HTML. Images are links, so that an answer cannot make the browser load them. */

import { memo } from 'react';
import ReactMarkdown, { type Components } from 'react-markdown';
import rehypeHighlight from 'rehype-highlight';
import remarkGfm from 'remark-gfm';

const COMPONENTS: Components = {
  a: ({ href, children }) => <a href={href} target="_blank" rel="noreferrer">{children}</a>,
  img: ({ src, alt }) => <a href={src} target="_blank" rel="noreferrer">{alt || src}</a>,
  pre: ({ children }) => <pre tabIndex={0}>{children}</pre>,
  table: ({ children }) => <div className="table" tabIndex={0}><table>{children}</table></div>,
};

export const Markdown = memo(function Markdown({ text }: { text: string }) {
  return (
    <div className="markdown">
      <ReactMarkdown remarkPlugins={[remarkGfm]} rehypePlugins={[rehypeHighlight]} components={COMPONENTS}>
        {text}
      </ReactMarkdown>
    </div>
  );
});

export function CodeBlock({ language, code }: { language: string; code: string }) {
  const longest = Math.max(2, ...[...code.matchAll(/`+/g)].map(([run]) => run.length));
  const fence = '`'.repeat(longest + 1);
  return <Markdown text={`${fence}${language}\n${code.replace(/\n$/, '')}\n${fence}`} />;
}
