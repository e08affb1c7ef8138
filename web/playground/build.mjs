import { build } from 'esbuild';
import { bundlePage } from '../shared/bundle.mjs';
import { shownModules } from './shown_modules.mjs';

await bundlePage(build, {
  alias: { '@mamba-server/client': '../../clients/js/src/index.ts' },
  define: {
    'process.env.NODE_ENV': '"production"',
    SHOWN_MODULES: JSON.stringify(await shownModules()),
  },
  // The content security policy blocks the functions that zod would generate.
  banner: { js: 'globalThis.__zod_globalConfig={jitless:true};' },
});
