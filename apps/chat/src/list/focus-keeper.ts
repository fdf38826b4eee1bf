//! Keeps the focus in the list while rows change: on the same control of the row that took another's place, else on
//! the row itself, else on the list.

import { focusIsLost } from '../controls/focus';

interface Held {
  readonly element: HTMLElement;
  readonly row: string;
  readonly depth: number;
  /** The control's accessible name; absent when the row itself has the focus and nothing in it is waited for. */
  readonly label: string | undefined;
}

export class FocusKeeper {
  private held: Held | undefined;

  /** An element of the list took the focus. */
  took(element: HTMLElement): void {
    const row = element.closest<HTMLElement>('.row');
    const id = row?.dataset.row;
    if (!row || id === undefined) {
      this.held = undefined;
      return;
    }
    // A row that has the focus in place of its control still waits for the control to come.
    const waited = element === row && this.held?.row === id ? this.held.label : undefined;
    const label = element.getAttribute('aria-label') ?? undefined;
    const depth = Number(row.dataset.depth);
    this.held = { element, row: id, depth, label: element === row ? waited : label };
  }

  /** The reader pointed somewhere: what had the focus is not missed. */
  drop(): void {
    this.held = undefined;
  }

  /** A row gave its place to another. */
  rename(from: string, to: string): void {
    if (this.held?.row === from) this.held = { ...this.held, row: to };
  }

  /** After a commit: gives a lost focus its place again. `ids` are the loaded rows, on the page or not. */
  settle(scroller: HTMLElement, rows: ReadonlyMap<string, HTMLElement>, ids: readonly string[]): void {
    const { held } = this;
    if (!held) return;
    const waiting = held.element === document.activeElement && held.element.classList.contains('row');
    if (!waiting && (held.element.isConnected || !focusIsLost())) return;
    const row = rows.get(held.row) ?? (ids.includes(held.row) ? undefined : nearest(rows, held.depth));
    const place = row ? (controlOf(row, held.label) ?? row) : scroller;
    if (place === document.activeElement) return;
    if (place === row) this.held = { ...held, element: row, row: row.dataset.row ?? '' };
    place.focus({ preventScroll: true });
  }
}

/** The control of that name; of two that step through versions, the one that still leads somewhere. */
function controlOf(row: HTMLElement, label: string | undefined): HTMLElement | undefined {
  if (label === undefined) return undefined;
  const all = [...row.querySelectorAll<HTMLButtonElement>('button:not(:disabled), textarea')];
  const same = all.find(control => control.getAttribute('aria-label') === label);
  if (same || !label.endsWith(' version')) return same;
  return all.find(control => control.closest('.versions'));
}

function nearest(rows: ReadonlyMap<string, HTMLElement>, depth: number): HTMLElement | undefined {
  let found: HTMLElement | undefined;
  let distance = Number.POSITIVE_INFINITY;
  for (const row of rows.values()) {
    const away = Math.abs(Number(row.dataset.depth) - depth);
    if (away >= distance) continue;
    found = row;
    distance = away;
  }
  return found;
}
