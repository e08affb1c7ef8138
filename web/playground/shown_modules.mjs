// Reads the modules that the playground shows: the React components of docs/frontend, and an application.

import { readFile } from 'node:fs/promises';

const DOCS = '../../docs/frontend/';
const PAGES = { 'Chat.tsx': 'chat.md', 'Approval.tsx': 'approvals.md', 'DisplayTools.tsx': 'display-tools.md' };
const BLOCK = /```tsx?\n(.*?)```/gs;

/** Returns the modules by file name. */
export async function shownModules() {
  const modules = Object.entries(PAGES).map(async ([name, page]) => [name, moduleOf(name, await readFile(DOCS + page, 'utf8'))]);
  const application = await readFile('src/code/App.tsx.txt', 'utf8');
  return { 'App.tsx': application, ...Object.fromEntries(await Promise.all(modules)) };
}

/** A block that starts with the file name begins the module; the unnamed blocks after it continue it. */
function moduleOf(name, page) {
  const blocks = [...page.matchAll(BLOCK)].map(([, code]) => code);
  const start = blocks.findIndex((code) => code.startsWith(`// ${name}\n`));
  if (start < 0) throw new Error(`${name} is not documented.`);
  const end = blocks.findIndex((code, index) => index > start && /^\/\/ \w+\.tsx?\n/.test(code));
  return blocks.slice(start, end < 0 ? undefined : end).join('');
}
