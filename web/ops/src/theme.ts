import { signal } from '@preact/signals';
import { ThemeStore } from '../../shared/theme';

const store = new ThemeStore('mamba.console.theme');

export const theme = signal(store.theme);
export const isDark = signal(store.isDark);
export const nextTheme = store.next;

store.subscribe(() => {
  theme.value = store.theme;
  isDark.value = store.isDark;
});
