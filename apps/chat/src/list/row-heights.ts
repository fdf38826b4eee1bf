//! What rows measured when they were last on the page, and which of them the page should hold.

/** A row before it was ever measured, if nothing better is known. */
const GUESS = 96;

/** Heights by message id, at one width of the list. */
export class RowHeights {
  private readonly known = new Map<string, number>();
  private sum = 0;

  /** Remembers a measured height. */
  set(id: string, height: number): void {
    this.sum += height - (this.known.get(id) ?? 0);
    this.known.set(id, height);
  }

  /** The height, or the mean of those known. */
  of(id: string): number {
    return this.known.get(id) ?? (this.known.size > 0 ? this.sum / this.known.size : GUESS);
  }

  /** All heights together. */
  total(ids: readonly string[]): number {
    return ids.reduce((sum, id) => sum + this.of(id), 0);
  }

  /** Forgets all: the width changed, and with it every height. */
  clear(): void {
    this.known.clear();
    this.sum = 0;
  }

  /** Forgets rows that left the window, so that a long scroll does not grow the map. */
  keepOnly(ids: readonly string[]): void {
    const kept = new Set(ids);
    for (const [id, height] of this.known) {
      if (kept.has(id)) continue;
      this.known.delete(id);
      this.sum -= height;
    }
  }
}

/** Rows `start` to `end`, `end` excluded. */
export interface RowRange {
  readonly start: number;
  readonly end: number;
}

/** A row and where its top is, in pixels below the viewport's top. */
export interface Focus {
  readonly index: number;
  readonly top: number;
}

/** The rows that reach into the viewport or `margin` pixels around it, counted from a row whose place is known. */
export function rangeAround(
  ids: readonly string[],
  heights: RowHeights,
  focus: Focus,
  viewport: number,
  margin: number,
): RowRange {
  let start = focus.index;
  for (let top = focus.top; start > 0 && top > -margin; start -= 1) top -= heights.of(ids[start - 1] ?? '');
  let end = focus.index;
  for (let bottom = focus.top; end < ids.length && bottom < viewport + margin; end += 1) {
    bottom += heights.of(ids[end] ?? '');
  }
  return { start, end };
}

/** The row at a scroll offset, by heights alone: for a jump of the scrollbar into rows that are not on the page. */
export function focusAt(ids: readonly string[], heights: RowHeights, offset: number): Focus {
  let top = -offset;
  for (let index = 0; index < ids.length; index += 1) {
    const bottom = top + heights.of(ids[index] ?? '');
    if (bottom > 0) return { index, top };
    top = bottom;
  }
  return { index: ids.length, top };
}
