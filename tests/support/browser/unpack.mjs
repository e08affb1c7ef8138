// Unpacks the Chromium of @sparticuz/chromium and its libraries into $TMPDIR.
import { readdir } from 'node:fs/promises'
import { inflate } from '@sparticuz/chromium'

const packed = new URL('./node_modules/@sparticuz/chromium/bin/', import.meta.url).pathname

for (const name of await readdir(packed)) await inflate(packed + name)
