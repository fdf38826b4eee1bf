//! Asking for what a browser may not have, or may not give: in sandboxed frames, in private windows and under some
//! settings even naming it throws. The page works without each of them.

/** What asking for it gives; nothing where the browser says no, by an error, `null` or not having it. */
export function ifAllowed<T>(ask: () => T | null | undefined): T | undefined {
  try {
    return ask() ?? undefined;
  } catch {
    return undefined;
  }
}

/** Whether the screen is like that; nothing where the browser cannot say. */
export function isMedia(query: string): boolean | undefined {
  return ifAllowed(() => matchMedia(query).matches);
}
