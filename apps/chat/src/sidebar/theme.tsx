//! Light, dark, or as the system says.

import { useEffect, useState } from 'react';
import { Icon, type IconName } from '../icon';

type Theme = 'auto' | 'light' | 'dark';

const KEY = 'threadmill.theme';
const NEXT: Readonly<Record<Theme, Theme>> = { auto: 'light', light: 'dark', dark: 'auto' };
const ICONS: Readonly<Record<Theme, IconName>> = { auto: 'auto', light: 'sun', dark: 'moon' };
const WORDS: Readonly<Record<Theme, string>> = { auto: 'as the system', light: 'light', dark: 'dark' };

function stored(): Theme {
  const theme = localStorage.getItem(KEY);
  return theme === 'light' || theme === 'dark' ? theme : 'auto';
}

function apply(theme: Theme): void {
  if (theme === 'auto') delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
}

/** Applies the stored choice; call it before the first paint. */
export function applyStoredTheme(): void {
  apply(stored());
}

export function ThemeToggle() {
  const [theme, setTheme] = useState(stored);
  useEffect(() => apply(theme), [theme]);
  const change = () => {
    const next = NEXT[theme];
    localStorage.setItem(KEY, next);
    setTheme(next);
  };
  const label = `Theme: ${WORDS[theme]}`;
  return (
    <button type="button" className="icon-button" aria-label={label} title={label} onClick={change}>
      <Icon name={ICONS[theme]} />
    </button>
  );
}
