//! Code to coloured spans. The highlighter is a chunk of its own, fetched with the first code block.

/** Text, or a span of it. */
export type CodeNode = string | { readonly className: string; readonly children: readonly CodeNode[] };

/** Longer code stays plain: colouring it would block the page. */
const LONGEST = 40_000;
/** The language of short unnamed code is guessed; of long code that costs too much. */
const LONGEST_GUESS = 4_000;
const KEPT = 200;
const cache = new Map<string, readonly CodeNode[]>();

const NAMES: Readonly<Record<string, string>> = {
  js: 'JavaScript',
  javascript: 'JavaScript',
  jsx: 'JSX',
  ts: 'TypeScript',
  typescript: 'TypeScript',
  tsx: 'TSX',
  py: 'Python',
  python: 'Python',
  rs: 'Rust',
  rust: 'Rust',
  cpp: 'C++',
  cs: 'C#',
  csharp: 'C#',
  html: 'HTML',
  css: 'CSS',
  json: 'JSON',
  sql: 'SQL',
  php: 'PHP',
  yaml: 'YAML',
  yml: 'YAML',
  toml: 'TOML',
  sh: 'Shell',
  bash: 'Shell',
};

/** How a fence's language is called on the page. */
export function languageName(language: string): string {
  if (language === '') return 'Code';
  return NAMES[language.toLowerCase()] ?? language.charAt(0).toUpperCase() + language.slice(1, 24);
}

const keyOf = (code: string, language: string) => `${language}\n${code}`;

/** The spans, if this code was coloured before: a row that comes back looks as it did at once. */
export function cachedHighlight(code: string, language: string): readonly CodeNode[] | undefined {
  return cache.get(keyOf(code, language));
}

/** The spans, or nothing if the language is unknown or the code too long. */
export async function highlight(code: string, language: string): Promise<readonly CodeNode[] | undefined> {
  if (code.length > (language === '' ? LONGEST_GUESS : LONGEST)) return undefined;
  const { colour } = await import('./highlight-languages');
  const nodes = cachedHighlight(code, language) ?? colour(code, language.toLowerCase());
  if (nodes) remember(keyOf(code, language), nodes);
  return nodes;
}

function remember(key: string, nodes: readonly CodeNode[]): void {
  cache.set(key, nodes);
  const oldest = cache.keys().next();
  if (cache.size > KEPT && !oldest.done) cache.delete(oldest.value);
}
