//! Text that no rule of Markdown could make anything of: most of what people and models write needs no parser.

/** A line that begins with a letter and has no sign of Markdown in it. */
const PROSE = /^\p{L}[^\\`*_[\]<>&~|#:@/\n]*$/u;
/** The one link without any of these signs. */
const ADDRESS = /www\./i;

/** Longer paragraphs are no paragraphs: they are laid out in pieces, as what is not parsed is. */
const LONGEST = 16 * 1024;

/** The text of a paragraph that needs no parsing, or nothing. */
export function proseOf(source: string): string | undefined {
  if (source.length > LONGEST) return undefined;
  const text = source.endsWith('\n') ? source.slice(0, -1) : source;
  return PROSE.test(text) && !ADDRESS.test(text) ? text : undefined;
}
