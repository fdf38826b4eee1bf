//! Light, dark, or as the system says: the reader's choice, and how it is applied.

export type Theme = 'auto' | 'light' | 'dark';

const KEY = 'threadmill.theme';

export function storedTheme(): Theme {
  const theme = localStorage.getItem(KEY);
  return theme === 'light' || theme === 'dark' ? theme : 'auto';
}

export function storeTheme(theme: Theme): void {
  localStorage.setItem(KEY, theme);
}

/** Call it with the stored theme before the first paint. */
export function applyTheme(theme: Theme): void {
  if (theme === 'auto') delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
}
