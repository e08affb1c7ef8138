// Bundles a page into a folder: index.html, and assets with content hashes in their names.

import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { basename, join, relative } from 'node:path';

const ICON = '../shared/icon.svg';

/** Runs in the folder of the page. `build` is esbuild's; `options` are added to those of its call. */
export async function bundlePage(build, options) {
  const [folder] = process.argv.slice(2);
  if (!folder) throw new Error('Usage: node build.mjs FOLDER');
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  const { metafile } = await build({
    entryPoints: { main: 'src/main.tsx', icon: ICON },
    outdir: join(folder, 'assets'),
    entryNames: '[name]-[hash]',
    loader: { '.svg': 'copy' },
    bundle: true,
    format: 'esm',
    jsx: 'automatic',
    target: 'es2022',
    minify: true,
    legalComments: 'none',
    metafile: true,
    ...options,
  });
  await writePage(folder, Object.keys(metafile.outputs));
  await writeLicenses(folder, Object.keys(metafile.inputs));
}

async function writePage(folder, outputs) {
  const names = outputs.map((path) => basename(relative(folder, path)));
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
}

/** The licenses of the bundled packages require that their texts are included. */
async function writeLicenses(folder, inputs) {
  const packages = inputs.flatMap((path) => path.match(/.*node_modules\/(?:@[^/]+\/)?[^/]+/)?.[0] ?? []);
  const texts = [...new Set(packages)].sort().map(async (path) => {
    const { name, license } = JSON.parse(await readFile(join(path, 'package.json'), 'utf8'));
    return `${name}\n\n${(await licenseText(path)) ?? license}\n`;
  });
  await writeFile(join(folder, 'LICENSES.txt'), (await Promise.all(texts)).join('\n\n'));
}

async function licenseText(path) {
  const file = (await readdir(path)).find((name) => /^licen[sc]e(\.(md|txt))?$/i.test(name));
  return file && (await readFile(join(path, file), 'utf8')).trim();
}
