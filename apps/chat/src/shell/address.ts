//! Addresses of the page: `/`, or `/t/THREAD`, with `?m=MESSAGE` to land on one.

/** A place in the page. */
export interface Route {
  readonly threadId: string | undefined;
  readonly messageId: string | undefined;
}

/** Reads a path and a query. */
export function parseRoute(pathname: string, search: string): Route {
  const found = /^\/t\/([^/]+)\/?$/.exec(pathname)?.[1];
  let threadId: string | undefined;
  try {
    threadId = found === undefined ? undefined : decodeURIComponent(found);
  } catch {
    // A broken escape names no thread.
  }
  return { threadId, messageId: new URLSearchParams(search).get('m') ?? undefined };
}

/** The address of a thread, or of one message in it. */
export function threadPath(threadId: string, messageId?: string): string {
  const path = `/t/${encodeURIComponent(threadId)}`;
  return messageId === undefined ? path : `${path}?m=${encodeURIComponent(messageId)}`;
}
