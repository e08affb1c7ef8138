// Sends requests to a route of Next.js. The input is a JSON object with the code of the route, and the requests. The
// output has the responses, and what the route stored.

import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

let input = '';
for await (const data of process.stdin) input += data;
const { code, requests } = JSON.parse(input);
const here = (path) => fileURLToPath(new URL(path, import.meta.url));

const { outputFiles } = await build({
  stdin: { contents: code, resolveDir: here('.') },
  bundle: true,
  write: false,
  format: 'esm',
  platform: 'node',
  banner: { js: "import { createRequire } from 'node:module'; const require = createRequire('/');" },
  alias: { '@/lib/store': here('route_stubs.mjs'), 'next/server': here('route_stubs.mjs') },
});
const { POST } = await import(`data:text/javascript,${encodeURIComponent(outputFiles[0].text)}`);

const responses = [];
for (const { headers, body } of requests) {
  const response = await POST(new Request('http://app.test/', { method: 'POST', headers, body }));
  responses.push({ status: response.status, body: await response.text() });
}
await Promise.all(route.pending);
console.log(JSON.stringify({ responses, stored: route.stored }));
process.exit(0);
