//! Points that a line cannot show, since it has no length there.

/** Where a point stands alone. */
export function alone(points: ArrayLike<number | null | undefined>): number[] {
  const isThere = (at: number) => points[at] !== null && points[at] !== undefined;
  return Array.from(points, (_, at) => at).filter(at => isThere(at) && !isThere(at - 1) && !isThere(at + 1));
}
