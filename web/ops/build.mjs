import { build } from 'esbuild';
import { bundlePage } from '../shared/bundle.mjs';

await bundlePage(build, { jsxImportSource: 'preact' });
