//! Text areas as high as what is in them, where the browser does not see to it (`field-sizing`: not in WebKit before 26.2,
//! nor in older Firefox).

import { type RefObject, useLayoutEffect } from 'react';

/** Keeps the area as high as its text; the style sheet says how high at most. Nothing where the browser does it. */
export function useAutoHeight(area: RefObject<HTMLTextAreaElement | null>, text: string): void {
  // biome-ignore lint/correctness/useExhaustiveDependencies: the text is what makes the height
  useLayoutEffect(() => {
    if (CSS.supports('field-sizing', 'content')) return;
    const fit = () => area.current && fitHeight(area.current);
    fit();
    window.addEventListener('resize', fit);
    return () => window.removeEventListener('resize', fit);
  }, [area, text]);
}

/** First as low as it can be: else it would never shrink. */
function fitHeight(area: HTMLTextAreaElement): void {
  area.style.height = 'auto';
  const border = area.offsetHeight - area.clientHeight;
  area.style.height = `${area.scrollHeight + border}px`;
}
