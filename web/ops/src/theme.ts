/** The color theme: light, dark or the system setting. The choice is stored in this browser. */

import { effect, signal } from '@preact/signals';

export type Theme = 'system' | 'light' | 'dark';

const STORAGE_KEY = 'mamba.console.theme';
const THEMES: readonly Theme[] = ['system', 'light', 'dark'];
const systemDark = matchMedia('(prefers-color-scheme: dark)');

const stored = localStorage.getItem(STORAGE_KEY) as Theme | null;
export const theme = signal<Theme>(stored && THEMES.includes(stored) ? stored : 'system');
export const isDark = signal(false);

export function nextTheme(): void {
  theme.value = THEMES[(THEMES.indexOf(theme.value) + 1) % THEMES.length] ?? 'system';
  localStorage.setItem(STORAGE_KEY, theme.value);
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
