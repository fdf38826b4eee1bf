//! What keys mean that are not always what they seem: keys of an input method, and Enter on a touch keyboard.

import { isMedia } from '../shell/browser';

/** When the last composition ended, on the clock of events. */
let composed = Number.NEGATIVE_INFINITY;

if (typeof window === 'object') {
  window.addEventListener(
    'compositionend',
    event => {
      composed = event.timeStamp;
    },
    true,
  );
}

/** What is looked at of a key event. */
type Pressed = Pick<KeyboardEvent, 'isComposing' | 'keyCode' | 'timeStamp'>;

/**
 * Whether the key belongs to an input method: it chooses or gives up a candidate, and means nothing to the page. Chromium
 * and Firefox say so with `isComposing`. WebKit ends the composition before it tells of the key that ended it: such a
 * key has the code 229, and was pressed before the composition ended.
 */
export function isComposed(event: Pressed): boolean {
  return event.isComposing || event.keyCode === 229 || event.timeStamp < composed;
}

/** Whether the reader types on a screen: no Shift there for a second line, so Enter makes one and a button sends. */
export function typesOnScreen(): boolean {
  return isMedia('(pointer: coarse) and (hover: none)') ?? false;
}

/** What is looked at of an Enter. */
type Entered = Pressed & Pick<KeyboardEvent, 'key' | 'shiftKey' | 'ctrlKey' | 'metaKey' | 'altKey'>;

/** Whether the key sends what is in a text area. */
export function isSend(event: Entered): boolean {
  if (event.key !== 'Enter' || isComposed(event) || event.shiftKey || event.altKey) return false;
  return event.ctrlKey || event.metaKey || !typesOnScreen();
}

/** What the Enter key of a touch keyboard is labelled. */
export function enterKeyHint(): 'enter' | 'send' {
  return typesOnScreen() ? 'enter' : 'send';
}
