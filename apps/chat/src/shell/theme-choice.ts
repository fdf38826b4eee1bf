//! Light, dark, or as the system says: the reader's choice, and how it is applied.

import { storeChoice, storedChoice } from './choices';

export type Theme = 'auto' | 'light' | 'dark';

const KEY = 'threadmill.theme';

export function storedTheme(): Theme {
  const theme = storedChoice(KEY);
  return theme === 'light' || theme === 'dark' ? theme : 'auto';
}

export function storeTheme(theme: Theme): void {
  storeChoice(KEY, theme);
}

/** Call it with the stored theme before the first paint. */
export function applyTheme(theme: Theme): void {
  if (theme === 'auto') delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
}
