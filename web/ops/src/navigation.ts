/** The open run, stored in the URL so that it can be shared. */

import { computed, signal } from '@preact/signals';

const hash = signal(location.hash);
addEventListener('hashchange', () => (hash.value = location.hash));

export const openRun = computed(() => {
  const [, id] = /^#run=([\w-]{1,64})$/.exec(hash.value) ?? [];
  return id ?? null;
});

export function runLink(id: string): string {
  return `#run=${encodeURIComponent(id)}`;
}

export function closeRun(): void {
  history.replaceState(null, '', location.pathname + location.search);
  hash.value = '';
}
