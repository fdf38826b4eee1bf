//! From a block's source to tokens, guarded: what would make the lexer slow or deep is shown as it was written.

import { lexer, type Token } from 'marked';

/** Longer blocks are shown as text; lexing is not linear in the worst case. */
const LONGEST = 64 * 1024;
const DEEP_QUOTE = /^(?:[ \t]*>){24}/m;
const DEEP_LIST = /^(?:[ \t]*(?:[-*+]|\d{1,9}[.)])[ \t]+){16}/m;
const MANY_BRACKETS = /[[\]*_~`]{200}/;

/** A line of prose that no rule of the lexer could make anything of: most of what models write. */
const PROSE = /^\p{L}[^\\`*_[\]<>&~|#:@/\n]*$/u;
/** The one link without any of these signs. */
const ADDRESS = /www\./i;

function proseOf(raw: string): Token[] | undefined {
  const text = raw.endsWith('\n') ? raw.slice(0, -1) : raw;
  if (!PROSE.test(text) || ADDRESS.test(text)) return undefined;
  return [{ type: 'paragraph', raw, text, tokens: [{ type: 'text', raw: text, text, escaped: false }] }];
}

/** The tokens of a source, or nothing if it should be shown as plain text. */
export function lexBlock(source: string): Token[] | undefined {
  const prose = proseOf(source);
  if (prose) return prose;
  if (source.length > LONGEST || DEEP_QUOTE.test(source) || DEEP_LIST.test(source)) return undefined;
  if (MANY_BRACKETS.test(source)) return undefined;
  try {
    return lexer(source, { gfm: true, breaks: false });
  } catch {
    // The lexer throws on input it cannot read; the reader still gets the text.
    return undefined;
  }
}
