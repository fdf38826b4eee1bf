//! Which URLs of a message may become a link or an image. Everything else stays text.

const LINK_SCHEMES = new Set(['http:', 'https:', 'mailto:']);

function parse(raw: string): URL | undefined {
  try {
    return new URL(raw.trim());
  } catch {
    // Relative addresses fail here too, on purpose: a message has no base to be relative to.
    return undefined;
  }
}

/** The address of a link, if its scheme is allowed. */
export function safeLink(raw: string): string | undefined {
  const url = parse(raw);
  return url && LINK_SCHEMES.has(url.protocol) ? url.href : undefined;
}

/** The address of an image and the host that a click would tell, if it may be fetched at all. */
export function safeImage(raw: string): { href: string; host: string } | undefined {
  const url = parse(raw);
  if (!url || (url.protocol !== 'http:' && url.protocol !== 'https:')) return undefined;
  return { href: url.href, host: url.host };
}
