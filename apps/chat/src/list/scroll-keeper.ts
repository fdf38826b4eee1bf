//! Keeps the row being read where it is, whatever happens to the rows around it, and follows the tail when asked.
//!
//! Rows lie in normal flow, so the browser lays them out and nothing here predicts heights. Before each change the
//! keeper knows where, in the content, the rows in view start and, of a row that begins above the view, the first line in
//! it; after it, it moves the scroll offset by what that line, or the first of those rows that is still there, has moved.
//! That is independent of scrolling meanwhile. The browser's own scroll anchoring is off: Safari has none, it sleeps at
//! offset 0, it loses a line whose nodes are replaced, and two anchors would both correct.

import { FocusKeeper } from './focus-keeper';
import { type Line, lineIn, lineTop } from './line-anchor';
import { type Focus, focusAt, type RowHeights, type RowRange, rangeAround } from './row-heights';

/** Closer than this to the end counts as being there. */
const AT_END = 8;
/** Rows are kept on the page this many viewports around the visible part, and fetched when nearer than the second. */
const MARGIN = 1.25;
/** Before the first of them were painted: heights are guesses, and what they fall short by is in view. */
const FIRST = 0.25;
const NEEDED = 0.5;
/** Where a row that was jumped to comes to rest, as a part of the viewport. */
const TARGET_AT = 0.2;

const NOWHERE = { scrollTop: 0, scrollHeight: 0, clientHeight: 0 };

interface Mark {
  readonly id: string;
  readonly offset: number;
}

export class ScrollKeeper {
  /** Whether the end of the list is held in view. */
  following = true;
  private marks: readonly Mark[] = [];
  /** The line being read, and where it is in the content. */
  private line: { readonly at: Line; readonly offset: number } | undefined;
  private ids: readonly string[] = [];
  private mounted: RowRange = { start: 0, end: 0 };
  /** Where the reader came back to, while they have not moved from there. */
  private place: { readonly id: string; readonly top: number } | undefined;
  private target: { readonly id: string; readonly top: number | undefined } | undefined;
  /** What a whole-pixel scroll offset could not express; paid with the next correction, so that errors never add up. */
  private owed = 0;
  private lastTop = 0;
  readonly rows = new Map<string, HTMLElement>();
  /** The keyboard's place, which follows the rows as the reader's eye does. */
  readonly focused = new FocusKeeper();
  private scroller: HTMLElement | undefined;
  private content: HTMLElement | undefined;

  constructor(readonly heights: RowHeights) {}

  attach(scroller: HTMLElement, content: HTMLElement): void {
    this.scroller = scroller;
    this.content = content;
  }

  /** The rows to put on the page now. Reads what the last `mark` saw; call it while rendering. */
  rangeFor(ids: readonly string[], which: 'in view' | 'around'): RowRange {
    this.ids = ids;
    this.mounted = this.rangeWith(which === 'around' ? MARGIN : FIRST);
    return this.mounted;
  }

  /** Whether the rows on the page fill the view as far as there are rows. */
  covers(): boolean {
    const { start, end } = this.mounted;
    const view = this.scroller?.getBoundingClientRect();
    const first = this.rows.get(this.ids[start] ?? '')?.getBoundingClientRect();
    const last = this.rows.get(this.ids[end - 1] ?? '')?.getBoundingClientRect();
    if (!view || !first || !last) return true;
    return (start === 0 || first.top <= view.top) && (end === this.ids.length || last.bottom >= view.bottom);
  }

  /** Puts this row in view with the next commit that has it: so many pixels below the view's top, if that is said. */
  aimAt(id: string, top?: number): void {
    this.place = undefined;
    this.target = { id, top };
    this.following = false;
  }

  /** Whether a row is aimed at that is not on the page yet. */
  get aiming(): boolean {
    return this.target !== undefined;
  }

  /** The first row that reaches into the view, and where it begins, in pixels below the view's top. */
  spot(): { message: string; top: number } | undefined {
    const view = this.scroller?.getBoundingClientRect().top ?? 0;
    for (const id of this.ids.slice(this.mounted.start, this.mounted.end)) {
      const box = this.rows.get(id)?.getBoundingClientRect();
      if (box && box.bottom > view) return { message: id, top: Math.round(box.top - view) };
    }
    return undefined;
  }

  /** Holds the end in view from the next commit on. */
  follow(): void {
    this.place = undefined;
    this.target = undefined;
    this.following = true;
    this.settle();
  }

  /** Lets go of the end at once; scrolling down to it takes hold again. */
  release(): void {
    this.place = undefined;
    this.following = false;
  }

  /** A row gave its place to another: what the reader looked at continues under another id. */
  rename(from: string, to: string): void {
    this.marks = this.marks.map(mark => (mark.id === from ? { ...mark, id: to } : mark));
    this.focused.rename(from, to);
  }

  /** After a commit or a change of size: puts things where the reader expects them. Returns the row just jumped to. */
  settle(): string | undefined {
    const arrived = this.arrive();
    if (arrived === undefined && !this.holdPlace()) {
      if (this.following) this.scrollTo(Number.MAX_SAFE_INTEGER);
      else this.restore();
    }
    this.mark();
    // Where the reader comes back to is no news to point at.
    return arrived?.top === undefined ? arrived?.id : undefined;
  }

  /** The reader scrolled, by so many pixels. Returns what follows from it. */
  scrolled(hasNewer: boolean): { direction: 'up' | 'down' | 'none'; moved: number; needsRows: boolean } {
    const scroller = this.scroller;
    if (!scroller) return { direction: 'none', moved: 0, needsRows: false };
    const top = scroller.scrollTop;
    const moved = top - this.lastTop;
    const direction = moved < -0.5 ? 'up' : moved > 0.5 ? 'down' : 'none';
    if (direction !== 'none') this.place = undefined;
    if (direction === 'up' && !this.atEnd()) this.following = false;
    if (direction === 'down' && this.atEnd() && !hasNewer) this.following = true;
    if (!this.following) this.restore();
    this.lastTop = scroller.scrollTop;
    this.mark();
    const needed = this.rangeWith(NEEDED);
    return {
      direction,
      moved,
      needsRows: needed.start < this.mounted.start || needed.end > this.mounted.end,
    };
  }

  /** Pixels of loaded content above and below the viewport. */
  room(): { above: number; below: number; viewport: number; content: number } {
    const s = this.scroller;
    if (!s) return { above: 0, below: 0, viewport: 0, content: 0 };
    const below = s.scrollHeight - s.clientHeight - s.scrollTop;
    return { above: s.scrollTop, below, viewport: s.clientHeight, content: s.scrollHeight };
  }

  atEnd(): boolean {
    return this.room().below <= AT_END;
  }

  private rangeWith(margin: number): RowRange {
    const viewport = this.scroller?.clientHeight ?? 800;
    return rangeAround(this.ids, this.heights, this.focus(viewport), viewport, margin * viewport);
  }

  private focus(viewport: number): Focus {
    const { ids } = this;
    const aimed = this.target === undefined ? -1 : ids.indexOf(this.target.id);
    if (aimed >= 0) return { index: aimed, top: this.target?.top ?? viewport * TARGET_AT };
    if (this.following) return { index: ids.length, top: viewport };
    for (const mark of this.marks) {
      const index = ids.indexOf(mark.id);
      if (index >= 0) return { index, top: mark.offset - (this.scroller?.scrollTop ?? 0) };
    }
    return focusAt(ids, this.heights, this.scroller?.scrollTop ?? 0);
  }

  /** Until the reader moves, the row they came back to keeps its top: what is drawn later may change its height. */
  private holdPlace(): boolean {
    const { place } = this;
    const element = place === undefined || this.following ? undefined : this.rows.get(place.id);
    if (!element || place === undefined) return false;
    this.scrollTo(this.offsetOf(element) - place.top);
    return true;
  }

  private arrive(): ScrollKeeper['target'] {
    const { target, scroller } = this;
    const element = target === undefined ? undefined : this.rows.get(target.id);
    if (!scroller || !element || target === undefined) return undefined;
    this.target = undefined;
    if (target.top !== undefined) this.place = { id: target.id, top: target.top };
    this.scrollTo(this.offsetOf(element) - (target.top ?? scroller.clientHeight * TARGET_AT));
    return target;
  }

  private restore(): void {
    const moved = this.moved();
    if (moved === undefined) return;
    if (this.scroller && Math.abs(moved + this.owed) >= 0.5)
      this.scrollTo(this.unclampedTop() + moved + this.owed);
    else this.owed += moved;
  }

  /** How far what is read has moved in the content. */
  private moved(): number | undefined {
    const line = this.line && lineTop(this.line.at);
    if (this.line && line !== undefined) return line - this.origin() - this.line.offset;
    for (const mark of this.marks) {
      const element = this.rows.get(mark.id);
      if (element) return this.offsetOf(element) - mark.offset;
    }
    return undefined;
  }

  /** Where the reader scrolled to: rows that turned out lower than guessed may have left less room than that. */
  private unclampedTop(): number {
    const { scrollTop, scrollHeight, clientHeight } = this.scroller ?? NOWHERE;
    return scrollTop >= scrollHeight - clientHeight - 1 ? Math.max(scrollTop, this.lastTop) : scrollTop;
  }

  /** Remembers where the rows in view start. */
  private mark(): void {
    const scroller = this.scroller;
    if (!scroller) return;
    const top = scroller.scrollTop;
    const bottom = top + scroller.clientHeight;
    const inView: Mark[] = [];
    const straddling: Mark[] = [];
    for (let index = this.mounted.start; index < this.mounted.end; index += 1) {
      const id = this.ids[index] ?? '';
      const element = this.rows.get(id);
      if (!element) continue;
      const offset = this.offsetOf(element);
      if (offset >= bottom) break;
      if (offset >= top) inView.push({ id, offset });
      else if (offset + element.offsetHeight > top) straddling.push({ id, offset });
    }
    this.marks = [...inView, ...straddling];
    const cut = this.following ? undefined : straddling[0];
    this.line = cut && this.lineOf(cut.id, scroller);
  }

  /** The first line in view of a row that begins above it. */
  private lineOf(id: string, scroller: HTMLElement): { at: Line; offset: number } | undefined {
    const element = this.rows.get(id);
    const view = scroller.getBoundingClientRect();
    const at = element && lineIn(element, view.top);
    return at && at.top < view.bottom ? { at, offset: at.top - this.origin() } : undefined;
  }

  private offsetOf(element: HTMLElement): number {
    return element.getBoundingClientRect().top - this.origin();
  }

  private origin(): number {
    return this.content?.getBoundingClientRect().top ?? 0;
  }

  private scrollTo(top: number): void {
    const scroller = this.scroller;
    if (!scroller) return;
    const wanted = Math.max(0, Math.min(top, scroller.scrollHeight - scroller.clientHeight));
    scroller.scrollTop = wanted;
    this.owed = wanted - scroller.scrollTop;
    this.lastTop = scroller.scrollTop;
  }
}
