// Module hooks that compile Svelte's modules, as a bundler does for a browser.

import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { compileModule } from 'svelte/compiler';

export function resolve(specifier, context, next) {
  return next(specifier, { ...context, conditions: [...context.conditions, 'svelte', 'browser'] });
}

export async function load(url, context, next) {
  if (!url.endsWith('.svelte.js')) return next(url, context);
  const filename = fileURLToPath(url);
  const { js } = compileModule(await readFile(filename, 'utf8'), { filename, generate: 'client' });
  return { format: 'module', source: js.code, shortCircuit: true };
}
