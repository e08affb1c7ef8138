// Bundles the page into the folder that it is given: index.html, and assets whose names are hashes.

import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { basename, join, relative } from 'node:path';
import { build } from 'esbuild';

const [folder] = process.argv.slice(2);
if (!folder) throw new Error('usage: node build.mjs FOLDER');

await rm(folder, { recursive: true, force: true });
await mkdir(folder, { recursive: true });

const { metafile } = await build({
  entryPoints: ['src/main.tsx', 'src/icon.svg'],
  outdir: join(folder, 'assets'),
  entryNames: '[name]-[hash]',
  loader: { '.svg': 'copy' },
  bundle: true,
  format: 'esm',
  jsx: 'automatic',
  jsxImportSource: 'preact',
  target: 'es2022',
  minify: true,
  legalComments: 'none',
  metafile: true,
});

const names = Object.keys(metafile.outputs).map((path) => basename(relative(folder, path)));
const named = (end) => names.find((name) => name.endsWith(end)) ?? fail(end);
const fail = (end) => {
  throw new Error(`nothing that ends in ${end} was built`);
};

const page = await readFile('src/index.html', 'utf8');
const filled = page
  .replace('main.css', named('.css'))
  .replace('main.js', named('.js'))
  .replace('icon.svg', named('.svg'));
await writeFile(join(folder, 'index.html'), filled);

// The licences of what is bundled ask to go along.
const inputs = Object.keys(metafile.inputs).flatMap((path) => path.match(/node_modules\/((?:@[^/]+\/)?[^/]+)/)?.[1] ?? []);
const texts = [...new Set(inputs)].sort().map(async (name) => {
  const text = await readFile(join('node_modules', name, 'LICENSE'), 'utf8');
  return `${name}\n\n${text.trim()}\n`;
});
await writeFile(join(folder, 'LICENSES.txt'), (await Promise.all(texts)).join('\n\n'));
