// Bundles the page with each version of the AI SDK into the folder that the first argument names.

import { writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const HOOKS = { 5: 'ai-react-5', 6: 'ai-react-6', 7: '@ai-sdk/react' };
const [outdir] = process.argv.slice(2);
const here = (path) => fileURLToPath(new URL(path, import.meta.url));

await Promise.all(Object.entries(HOOKS).map(([version, hook]) => bundle(version, hook)));

async function bundle(version, hook) {
  await build({
    entryPoints: [here('app.tsx')],
    bundle: true,
    outfile: `${outdir}/app-${version}.js`,
    format: 'iife',
    jsx: 'automatic',
    define: { 'process.env.NODE_ENV': '"development"' },
    alias: {
      '@mamba-server/client': here('../../../clients/js/dist/index.js'),
      ...(hook === '@ai-sdk/react' ? {} : { '@ai-sdk/react': hook }),
    },
  });
  const html = `<!doctype html><meta charset="utf-8"><title>Chat</title><body><script src="app-${version}.js"></script>`;
  await writeFile(`${outdir}/${version}.html`, html);
}
