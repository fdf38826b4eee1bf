//! Listening to the page, where there is one.

/** Calls back at every such event until the signal aborts. */
export function listen(
  target: EventTarget | undefined,
  event: string,
  signal: AbortSignal,
  act: (event: Event) => void,
): void {
  target?.addEventListener?.(event, act, { signal });
}
