//! Where the keyboard's focus goes when what had it leaves the page. It must never fall to the body unasked.

import { isMedia } from '../shell/browser';

/** Focus on the composer; on a touch screen, where that would raise the keyboard, on the messages. */
export function focusComposer(): void {
  const place = isMedia('(pointer: fine)') ? '.composer textarea' : '.scroller';
  document.querySelector<HTMLElement>(place)?.focus({ preventScroll: true });
}

/** Whether nothing on the page has the focus. */
export function focusIsLost(): boolean {
  return document.activeElement === null || document.activeElement === document.body;
}
