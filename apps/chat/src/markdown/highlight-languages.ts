//! highlight.js with the languages people ask about, and its HTML turned into spans that React can own. It runs in a
//! worker: its grammars are regular expressions, and some code takes them minutes.

import hljs from 'highlight.js/lib/core';
import bash from 'highlight.js/lib/languages/bash';
import c from 'highlight.js/lib/languages/c';
import cpp from 'highlight.js/lib/languages/cpp';
import csharp from 'highlight.js/lib/languages/csharp';
import css from 'highlight.js/lib/languages/css';
import diff from 'highlight.js/lib/languages/diff';
import dockerfile from 'highlight.js/lib/languages/dockerfile';
import go from 'highlight.js/lib/languages/go';
import ini from 'highlight.js/lib/languages/ini';
import java from 'highlight.js/lib/languages/java';
import javascript from 'highlight.js/lib/languages/javascript';
import json from 'highlight.js/lib/languages/json';
import kotlin from 'highlight.js/lib/languages/kotlin';
import php from 'highlight.js/lib/languages/php';
import python from 'highlight.js/lib/languages/python';
import ruby from 'highlight.js/lib/languages/ruby';
import rust from 'highlight.js/lib/languages/rust';
import sql from 'highlight.js/lib/languages/sql';
import swift from 'highlight.js/lib/languages/swift';
import typescript from 'highlight.js/lib/languages/typescript';
import xml from 'highlight.js/lib/languages/xml';
import yaml from 'highlight.js/lib/languages/yaml';
import type { CodeNode } from './colour-job';

const LANGUAGES = {
  bash,
  c,
  cpp,
  csharp,
  css,
  diff,
  dockerfile,
  go,
  ini,
  java,
  javascript,
  json,
  kotlin,
  php,
  python,
  ruby,
  rust,
  sql,
  swift,
  typescript,
  xml,
  yaml,
};
for (const [name, grammar] of Object.entries(LANGUAGES)) hljs.registerLanguage(name, grammar);

/** Those worth guessing, and how sure a guess must be. */
const GUESSED = [
  'bash',
  'c',
  'cpp',
  'css',
  'go',
  'java',
  'javascript',
  'json',
  'python',
  'rust',
  'sql',
  'xml',
];
const SURE = 3;

/** The spans of a code, or nothing for a language that is not here. Without a language, a good guess counts. */
export function colour(code: string, language: string): readonly CodeNode[] | undefined {
  if (language === '') {
    const guess = hljs.highlightAuto(code, GUESSED);
    return guess.relevance >= SURE ? parseSpans(guess.value) : undefined;
  }
  if (!hljs.getLanguage(language)) return undefined;
  return parseSpans(hljs.highlight(code, { language, ignoreIllegals: true }).value);
}

/** What highlight.js escapes; nothing else follows an ampersand in what it writes. */
const ESCAPED: ReadonlyMap<string, string> = new Map([
  ['&amp;', '&'],
  ['&lt;', '<'],
  ['&gt;', '>'],
  ['&quot;', '"'],
  ['&#x27;', "'"],
]);

function unescaped(text: string): string {
  return text.replace(/&(?:amp|lt|gt|quot|#x27);/g, found => ESCAPED.get(found) ?? found);
}

/** Spans inside each other; the text of deeper ones has the colour of the last. */
const DEEPEST = 16;
/** Code of more spans stays plain: people's code of 40 kB has about 4,000. */
const MOST_SPANS = 5_000;

/**
 * Reads what highlight.js writes: escaped text and `<span class="…">`, nothing else. Anything that is not exactly
 * that stays text, so nothing from the code can become an element of another kind. Nothing comes of too many spans.
 */
export function parseSpans(html: string): readonly CodeNode[] | undefined {
  const root: CodeNode[] = [];
  const open: CodeNode[][] = [root];
  let spans = 0;
  for (const piece of html.split(/(<span class="[\w\- ]+">|<\/span>)/)) {
    const top = open[Math.min(open.length, DEEPEST) - 1] ?? root;
    const className = /^<span class="([\w\- ]+)">$/.exec(piece)?.[1];
    if (className) {
      spans += 1;
      if (spans > MOST_SPANS) return undefined;
      const children: CodeNode[] = [];
      if (open.length < DEEPEST) top.push({ className, children });
      open.push(children);
    } else if (piece === '</span>') {
      if (open.length > 1) open.pop();
    } else if (piece !== '') {
      top.push(unescaped(piece));
    }
  }
  return root;
}
