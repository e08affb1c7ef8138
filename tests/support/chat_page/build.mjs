// Bundles a module and writes a page for it: build.mjs FOLDER MODULE NAME ALIASES. The aliases are a
// JSON object of packages and their paths.

import { writeFile } from 'node:fs/promises';
import { build } from 'esbuild';

const [folder, module, name, aliases] = process.argv.slice(2);

await build({
  entryPoints: [module],
  bundle: true,
  outfile: `${folder}/${name}.js`,
  format: 'iife',
  jsx: 'automatic',
  define: { 'process.env.NODE_ENV': '"development"' },
  alias: JSON.parse(aliases),
});
const html = `<!doctype html><meta charset="utf-8"><title>Chat</title><body><script src="${name}.js"></script>`;
await writeFile(`${folder}/${name}.html`, html);
