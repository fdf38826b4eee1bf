//! How far before the edge of what is loaded the next page is asked for: the farther, the faster the reader scrolls.

/** Viewports that are kept ahead of a reader who hardly moves, and of one who flies. */
const BASE = 1.5;
const MOST = 5;
/** Milliseconds that a page may take to come. */
const LEAD = 300;
/** Milliseconds after which motion is over. */
const PAUSE = 120;

/** What is around the viewport, in pixels, and how fast it moves, in pixels a millisecond. */
export interface Motion {
  readonly viewport: number;
  readonly content: number;
  readonly speed: number;
}

/**
 * Pixels left that way below which a page is asked for. Rows that leave at one end must not call for themselves from
 * the other, so it is never more than a quarter of what is loaded, a third in motion.
 */
export function loadAhead({ viewport, content, speed }: Motion): number {
  const beyond = content - viewport;
  const base = Math.min(BASE * viewport, Math.max(40, beyond / 4));
  return Math.max(base, Math.min(base + speed * LEAD, MOST * viewport, beyond / 3));
}

/** Measures how fast the reader scrolls. */
export class ScrollSpeed {
  private speed = 0;
  private last = Number.NEGATIVE_INFINITY;

  /** The reader moved the page by so many pixels, at this time in milliseconds. */
  moved(pixels: number, now: number): void {
    const elapsed = now - this.last;
    this.last = now;
    if (elapsed > PAUSE) this.speed = 0;
    // Two events may come in one millisecond.
    else this.speed = (this.speed + Math.abs(pixels) / Math.max(elapsed, 4)) / 2;
  }

  /** Pixels a millisecond, now. */
  at(now: number): number {
    return now - this.last > PAUSE ? 0 : this.speed;
  }
}
