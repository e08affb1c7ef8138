// Bundles the page into FOLDER: index.html, and assets with content hashes in their names.

import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { basename, join, relative } from 'node:path';
import { build } from 'esbuild';

const [folder] = process.argv.slice(2);
if (!folder) throw new Error('Usage: node build.mjs FOLDER');

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
const output = (suffix) => {
  const name = names.find((name) => name.endsWith(suffix));
  if (!name) throw new Error(`The build has no ${suffix} file.`);
  return name;
};

const template = await readFile('src/index.html', 'utf8');
const page = template
  .replace('main.css', output('.css'))
  .replace('main.js', output('.js'))
  .replace('icon.svg', output('.svg'));
await writeFile(join(folder, 'index.html'), page);

// The licenses of the bundled packages require that their texts are included.
const packages = Object.keys(metafile.inputs).flatMap((path) => path.match(/node_modules\/((?:@[^/]+\/)?[^/]+)/)?.[1] ?? []);
const texts = [...new Set(packages)].sort().map(async (name) => {
  const text = await readFile(join('node_modules', name, 'LICENSE'), 'utf8');
  return `${name}\n\n${text.trim()}\n`;
});
await writeFile(join(folder, 'LICENSES.txt'), (await Promise.all(texts)).join('\n\n'));
