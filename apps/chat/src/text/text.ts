//! Small questions about texts: how long in bytes, and how they read without their Markdown.
//!
//! Room `text`: texts as people read them: sizes, times, JSON, and text that stays as it was written. It knows no
//! message and no Markdown.

/** The longest start of `text` that has at most `limit` UTF-8 bytes and ends at a whole character. */
export function cutToBytes(text: string, limit: number): string {
  const encoder = new TextEncoder();
  if (text.length * 3 <= limit || encoder.encode(text).length <= limit) return text;
  const { read } = encoder.encodeInto(text, new Uint8Array(limit));
  return text.slice(0, read);
}

/** The first letters of `text`, `most` at most: never half of one, which no request can say. */
export function cutTo(text: string, most: number): string {
  const first = text.slice(0, most);
  return /[\ud800-\udbff]$/.test(first) ? first.slice(0, -1) : first;
}

/** Letters of a name that are shown: it may be of any length, and what it is called is in its beginning. */
const GLANCE = 300;

/** Letters that are not seen and turn others round, or are none. */
const CONTROLS = /[\p{Bidi_Control}\p{Cc}]+/gu;

/**
 * A name as it is written, in one line. A name may bring no order of its own for its letters: with one, `exe.pdf` is shown
 * for a file that ends in `.exe`.
 */
export function asName(name: string): string {
  return name.replace(CONTROLS, found => (/\s/.test(found) ? ' ' : ''));
}

/** A name as far as it is shown. */
export function glanceOf(given: string): string {
  const name = asName(given.slice(0, 2 * GLANCE));
  return name.length <= GLANCE ? name : `${cutTo(name, GLANCE)}…`;
}

/** A line without fences, headings, list marks, emphasis and link addresses. For glances only: it does not parse. */
export function withoutMarkdown(text: string): string {
  return text
    .replace(/\p{Bidi_Control}+/gu, '')
    .replace(/(^|\s)(?:`{3,}|~{3,})[\w+#.-]*(?=\s|$)/g, '$1')
    .replace(/!?\[([^\]]*)\]\([^)\s]*\)/g, '$1')
    .replace(/(^|\n)\s*(?:#{1,6}|>+|[-*+]|\d+[.)])\s+/g, '$1')
    .replace(/(\*\*|__|~~)(?=\S)(.+?)\1/g, '$2')
    .replace(/(^|[\s(])([*_])(?=\S)([^*_]+)\2(?=$|[\s).,;:!?])/g, '$1$3')
    .replace(/`+/g, '')
    .replace(/\s+/g, ' ')
    .trim();
}

/** A size as people say it: "640 B", "12 KB", "1 MB", "2.5 MB". */
export function sizeInWords(bytes: number): string {
  if (bytes < 1024) return `${bytes} B`;
  const kilobytes = Math.ceil(bytes / 1024);
  if (kilobytes < 1024) return `${kilobytes} KB`;
  return `${Math.round((bytes / 1024 / 1024) * 10) / 10} MB`;
}
