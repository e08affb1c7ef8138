// The globals of a browser page. Import this before React.

import { JSDOM } from 'jsdom';

const page = new JSDOM('<!doctype html><main></main>', { url: 'http://localhost/', pretendToBeVisual: true });
const names = [
  'document',
  'Element',
  'HTMLElement',
  'MutationObserver',
  'Node',
  'cancelAnimationFrame',
  'getComputedStyle',
  'navigator',
  'requestAnimationFrame',
];
Object.defineProperty(globalThis, 'window', { value: page.window });
for (const name of names) {
  Object.defineProperty(globalThis, name, { value: page.window[name], configurable: true });
}
