/** The color theme: light, dark or the system setting. The choice is stored in this browser. */

export type Theme = 'system' | 'light' | 'dark';

const THEMES: readonly Theme[] = ['system', 'light', 'dark'];
const systemDark = matchMedia('(prefers-color-scheme: dark)');

export class ThemeStore {
  readonly #key: string;
  readonly #listeners = new Set<() => void>();
  theme: Theme;

  /** `key` is the name in the browser's storage. */
  constructor(key: string) {
    this.#key = key;
    const stored = localStorage.getItem(key) as Theme | null;
    this.theme = stored && THEMES.includes(stored) ? stored : 'system';
    systemDark.addEventListener('change', () => this.#apply());
    this.#apply();
  }

  get isDark(): boolean {
    return this.theme === 'dark' || (this.theme === 'system' && systemDark.matches);
  }

  readonly next = (): void => {
    this.theme = THEMES[(THEMES.indexOf(this.theme) + 1) % THEMES.length] ?? 'system';
    localStorage.setItem(this.#key, this.theme);
    this.#apply();
  };

  /** Calls the listener after each change. Returns a function that removes it. */
  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  #apply(): void {
    document.documentElement.dataset['theme'] = this.isDark ? 'dark' : 'light';
    for (const listener of this.#listeners) listener();
  }
}
