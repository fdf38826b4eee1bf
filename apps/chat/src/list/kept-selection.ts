//! What is selected in a message stays selected when its text is shown differently: as Markdown that is complete.

import { type RefObject, useEffect } from 'react';
import { boxOf, carryEnd, offsetIn, placeAt } from './text-place';

/** An end of the selection: where the browser has it, and where it is in the text of its box. */
interface End {
  readonly node: Node;
  readonly offset: number;
  readonly box: HTMLElement | undefined;
  readonly text: string;
  readonly place: number;
}

interface Ends {
  readonly anchor: End;
  readonly focus: End;
  readonly forward: boolean;
}

function endAt(node: Node, offset: number): End {
  const box = boxOf(node);
  const place = box ? offsetIn(box, node, offset) : 0;
  return { node, offset, box, text: box?.textContent ?? '', place };
}

function take(root: HTMLElement): Ends | undefined {
  const selection = getSelection();
  const { anchorNode, focusNode } = selection ?? {};
  if (!selection || !anchorNode || !focusNode || selection.isCollapsed) return undefined;
  if (!root.contains(anchorNode) && !root.contains(focusNode)) return undefined;
  const [anchor, focus] = [
    endAt(anchorNode, selection.anchorOffset),
    endAt(focusNode, selection.focusOffset),
  ];
  const range = selection.getRangeAt(0);
  const forward = range.startContainer === anchor.node && range.startOffset === anchor.offset;
  return { anchor, focus, forward };
}

/** Its node is gone or was written anew, and the browser has put the end elsewhere. */
function isLost(end: End, node: Node | null, offset: number): boolean {
  return !end.node.isConnected || (node === end.node && offset < end.offset);
}

/** Where the end is now; nothing if its box is gone too. */
function placeOf(end: End, side: 'first' | 'last'): { node: Node; offset: number } | undefined {
  if (!end.box) return end.node.isConnected ? end : undefined;
  if (!end.box.isConnected) return undefined;
  const now = end.box.textContent ?? '';
  const place = carryEnd(end.text, now, end.place, side);
  if (side === 'first' || place === 0) return placeAt(end.box, place);
  // The last end is behind a letter, not before the next one, which may be in another line.
  const before = placeAt(end.box, place - 1);
  return { node: before.node, offset: Math.min(before.offset + 1, before.node.nodeValue?.length ?? 0) };
}

/** Puts the selection back if the nodes it was in are gone. */
function mend(ends: Ends): void {
  const selection = getSelection();
  if (!selection) return;
  const lost =
    isLost(ends.anchor, selection.anchorNode, selection.anchorOffset) ||
    isLost(ends.focus, selection.focusNode, selection.focusOffset);
  if (!lost) return;
  const anchor = placeOf(ends.anchor, ends.forward ? 'first' : 'last');
  const focus = placeOf(ends.focus, ends.forward ? 'last' : 'first');
  if (anchor && focus) selection.setBaseAndExtent(anchor.node, anchor.offset, focus.node, focus.offset);
}

/**
 * Keeps what is selected in `root` while the nodes of its texts are replaced. The selection is remembered when it changes,
 * since it is too late to ask when they are gone, and mended before the page is painted.
 */
export function useKeptSelection(root: RefObject<HTMLElement | null>): void {
  useEffect(() => {
    let kept: Ends | undefined;
    const changes = new MutationObserver(() => kept && mend(kept));
    const remember = () => {
      kept = root.current ? take(root.current) : undefined;
      changes.disconnect();
      for (const end of kept ? [kept.anchor, kept.focus] : []) {
        if (end.box) changes.observe(end.box, { childList: true, characterData: true, subtree: true });
      }
    };
    document.addEventListener('selectionchange', remember);
    return () => {
      document.removeEventListener('selectionchange', remember);
      changes.disconnect();
    };
  }, [root]);
}
