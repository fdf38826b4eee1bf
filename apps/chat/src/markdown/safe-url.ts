//! Which URLs of a message may become a link or an image. Everything else stays text.

import { asName } from '../text/text';

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

/** The host of a link; empty if it has none. `href` is of `safeLink`. */
export function hostOf(href: string): string {
  return new URL(href).host;
}

/** The address of an image and the host that a click would tell, if it may be fetched at all. */
export function safeImage(raw: string): { href: string; host: string } | undefined {
  const url = parse(raw);
  if (!url || (url.protocol !== 'http:' && url.protocol !== 'https:')) return undefined;
  return { href: url.href, host: url.host };
}

/** Words of a link that are looked at for addresses. */
const LOOKED_AT = 2_000;
const SCHEME = /^\W*(https?:\/\/.*)$/is;
const HOST = /^\W*((?:[\p{L}\p{N}-]+\.)+\p{L}{2,}(?::\d+)?(?:[/?#].*)?)$/su;

/**
 * Where a link leads, if its words seem to say that it leads elsewhere: an address in them has another host, or the link's
 * own begins with a name that is none. `href` is of `safeLink`.
 */
export function otherPlace(words: string, href: string): string | undefined {
  const url = new URL(href);
  const said = asName(words.slice(0, LOOKED_AT)).trim();
  if (url.protocol === 'mailto:') {
    const to = href.slice('mailto:'.length).split('?', 1)[0] ?? '';
    return /^\S+@\S+$/.test(said) && said.replace(/^mailto:/i, '') !== to ? to : undefined;
  }
  if (url.username !== '' || url.password !== '') return url.host;
  const tokens = said.split(/\s+/);
  const other = tokens.some(token => {
    const named = SCHEME.exec(token)?.[1] ?? hostIn(token, tokens.length === 1);
    // The name of a file that the link leads to looks like a host, too.
    return named !== undefined && !url.pathname.endsWith(`/${token}`) && !isOf(url, parse(named));
  });
  return other ? url.host : undefined;
}

/** A host without a scheme counts if it is all that is said, or begins as hosts do. */
function hostIn(token: string, alone: boolean): string | undefined {
  const host = HOST.exec(token)?.[1];
  return host !== undefined && (alone || /^www\./i.test(host)) ? `http://${host}` : undefined;
}

/** Whether an address is of the host that was named, or of one that belongs to it. */
function isOf({ hostname }: URL, named: URL | undefined): boolean {
  if (!named) return false;
  const name = named.hostname.replace(/^www\./, '');
  return hostname === name || hostname.endsWith(`.${name}`);
}
