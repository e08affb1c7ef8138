import { join } from 'node:path';

/** @type {import('next').NextConfig} */
export default {
  // The client package is a link to clients/js, so the root of the bundler is that of the repository.
  turbopack: { root: join(import.meta.dirname, '../..') },
};
