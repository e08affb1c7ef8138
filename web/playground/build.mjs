import { build } from 'esbuild';
import { bundlePage } from '../shared/bundle.mjs';
import { documentedModules } from './documented_modules.mjs';

await bundlePage(build, {
  alias: { '@mamba-server/client': '../../clients/js/src/index.ts' },
  define: {
    'process.env.NODE_ENV': '"production"',
    DOCUMENTED_MODULES: JSON.stringify(await documentedModules()),
  },
  // The content security policy blocks the functions that zod would generate.
  banner: { js: 'globalThis.__zod_globalConfig={jitless:true};' },
});
