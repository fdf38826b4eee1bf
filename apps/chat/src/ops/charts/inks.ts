//! Colours for a canvas. A custom property that says `light-dark(…)` is text to a canvas: only an element's own colour is
//! resolved, so one is asked.

/** Properties of `base.css`, by the number of the ink. */
const INKS = ['--accent', '--warn', '--danger'] as const;

let probe: HTMLElement | undefined;

/** What a colour property is now. */
export function resolved(property: string): string {
  if (!probe) {
    probe = document.createElement('span');
    probe.hidden = true;
    document.body.append(probe);
  }
  probe.style.color = `var(${property})`;
  return getComputedStyle(probe).color;
}

export function inkOf(ink: 0 | 1 | 2): string {
  return resolved(INKS[ink]);
}

/** Calls back whenever light becomes dark or the other way round. */
export function onTheme(changed: () => void): () => void {
  const scheme = matchMedia('(prefers-color-scheme: dark)');
  const chosen = new MutationObserver(changed);
  chosen.observe(document.documentElement, { attributeFilter: ['data-theme'] });
  scheme.addEventListener('change', changed);
  return () => {
    chosen.disconnect();
    scheme.removeEventListener('change', changed);
  };
}
