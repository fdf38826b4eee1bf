//! Light, dark, or as the system says.

import { useEffect, useState } from 'react';
import { applyTheme, storedTheme, storeTheme, type Theme } from '../shell/theme-choice';
import { Icon, type IconName } from './icon';

const NEXT: Readonly<Record<Theme, Theme>> = { auto: 'light', light: 'dark', dark: 'auto' };
const ICONS: Readonly<Record<Theme, IconName>> = { auto: 'auto', light: 'sun', dark: 'moon' };
const WORDS: Readonly<Record<Theme, string>> = { auto: 'as the system', light: 'light', dark: 'dark' };

export function ThemeToggle() {
  const [theme, setTheme] = useState(storedTheme);
  useEffect(() => applyTheme(theme), [theme]);
  const change = () => {
    const next = NEXT[theme];
    storeTheme(next);
    setTheme(next);
  };
  const label = `Theme: ${WORDS[theme]}`;
  return (
    <button type="button" className="icon-button" aria-label={label} title={label} onClick={change}>
      <Icon name={ICONS[theme]} />
    </button>
  );
}
