/** Light, dark, or as the system says; remembered in this browser. */

import { effect, signal } from '@preact/signals';

export type Theme = 'system' | 'light' | 'dark';

const KEPT = 'mamba.console.theme';
const THEMES: readonly Theme[] = ['system', 'light', 'dark'];
const systemDark = matchMedia('(prefers-color-scheme: dark)');

const kept = localStorage.getItem(KEPT) as Theme | null;
export const theme = signal<Theme>(kept && THEMES.includes(kept) ? kept : 'system');
export const isDark = signal(false);

export function nextTheme(): void {
  theme.value = THEMES[(THEMES.indexOf(theme.value) + 1) % THEMES.length] ?? 'system';
  localStorage.setItem(KEPT, theme.value);
}

export function startTheme(): void {
  systemDark.addEventListener('change', apply);
  effect(apply);
}

function apply(): void {
  const dark = theme.value === 'dark' || (theme.value === 'system' && systemDark.matches);
  document.documentElement.dataset['theme'] = dark ? 'dark' : 'light';
  isDark.value = dark;
}
