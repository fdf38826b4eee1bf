//! Counts renders. Always on: an integer a render costs nothing, and a promise that is not measured is not kept.

interface Counters {
  listRenders: number;
  readonly rowRenders: Record<string, number>;
}

declare global {
  interface Window {
    __threadmillCounters?: Counters;
  }
}

const counters: Counters = { listRenders: 0, rowRenders: Object.create(null) };
if (typeof window !== 'undefined') window.__threadmillCounters = counters;

/** The message list rendered. */
export function countListRender(): void {
  counters.listRenders += 1;
}

/** How often the row of a message rendered so far. */
export function rowRenders(id: string): number {
  return counters.rowRenders[id] ?? 0;
}

/** The row of a message rendered, or a part of it that has a life of its own. */
export function countRowRender(id: string): void {
  counters.rowRenders[id] = (counters.rowRenders[id] ?? 0) + 1;
}
