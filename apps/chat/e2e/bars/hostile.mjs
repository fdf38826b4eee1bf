//! Texts of 64 KiB that make Markdown parsers, highlighters and browsers slow.

/** A little less than what is still parsed: some have an end of their own. */
const SIZE = 64 * 1024 - 512;

/** `unit` over and over. */
const fill = (unit, size = SIZE) => unit.repeat(Math.ceil(size / unit.length)).slice(0, size);
const half = unit => fill(unit, SIZE / 2);

/** Openers, then as many closers. */
const nested = (open, middle, close) => `${half(open)}${middle}${half(close)}`;

function growingTicks() {
  let text = '';
  for (let length = 1; text.length < SIZE; length += 1) text += `e${'`'.repeat(length)}`;
  return text.slice(0, SIZE);
}

function growingIndent() {
  let text = '';
  for (let depth = 0; text.length < SIZE; depth += 1) text += `${'  '.repeat(depth)}- a\n`;
  return text.slice(0, SIZE);
}

function definitions() {
  let text = '';
  let count = 0;
  for (; text.length < SIZE / 2; count += 1) text += `[a${count}]: https://b.example/${count}\n`;
  return `${text}\n${Array.from({ length: count }, (_, n) => `[a${n}]`).join(' ')}`.slice(0, SIZE);
}

function table(columns, cell) {
  const row = `|${`${cell}|`.repeat(columns)}\n`;
  const rule = `|${'-|'.repeat(columns)}\n`;
  return fill(row, 2 * row.length).slice(0, row.length) + rule + fill(row, SIZE - row.length - rule.length);
}

const fence = (language, code) => `\`\`\`${language}\n${code.slice(0, 39_000)}\n\`\`\`\n`;

/** By what they do. */
export const HOSTILE = {
  'a legend of bullets': `Legend:\n${fill('-    ')}>`,
  'a legend with wide blanks': `Legend:\n${fill('-        ')}>`,
  'emphasis that opens only': fill('*a **b'),
  'underscores and a letter': fill(`${'_'.repeat(199)}a`),
  'emphasis signs alone': fill('*_'),
  'emphasis inside emphasis': nested('*a ', 'x', ' b*'),
  'hard breaks': fill('a  \n'),
  'fences that open only': fill('```\n'),
  'two kinds of fences': fill('~~~a\n```b\n'),
  brackets: fill('['),
  'links that open only': fill('[a]('),
  'links with pointed brackets': fill('[a](<b'),
  'links inside links': nested('[', 'a', '](b)'),
  'empty links': fill('[](https://b.example/) '),
  'images inside images': nested('![', 'a', '](b)'),
  'backticks in growing runs': growingTicks(),
  quotations: fill('>'),
  'lazy lines under deep quotations': `${half('>')}a\n${half('b\n')}`,
  'lists in one line': fill('- '),
  'lazy lines under deep lists': `${half('- ')}a\n${half('b\n')}`,
  'blank lines under deep lists': `${half('- ')}a\n${half('\n')}`,
  'ever deeper lists': growingIndent(),
  'quotations and lists in turn': `${half('> - ')}a\n${half('> \n')}`,
  'a table of many cells': table(4, 'a'),
  'a table of many columns': table(3_000, 'a'),
  'short rows under a wide head': `${fill('|a', 16_000)}\n${fill('|-', 16_000)}\n${fill('|a\n', 30_000)}`,
  'a cell of emphasis': `|a|\n|-|\n|${fill('*a **b')}|`,
  'reference definitions': definitions(),
  'labels that never close': fill('[a\n'),
  'comments that open only': `x ${fill('<!-- ')}`,
  'tags that open only': fill("<a b='"),
  'processing instructions': `x ${fill('<?')}`,
  'character references': fill('&amp;&#x41;&lolololol;&#99999999;'),
  'addresses without a host': fill('https://!'),
  addresses: fill('https://a.example/b) '),
  'dollar signs': fill('$$a $'),
  'formulas that open only': fill('\\( \\[ a '),
  backslashes: fill('\\'),
  headings: fill('# a\n'),
  'headings apart': fill('# a\n\n'),
  tasks: fill('- [x] a\n'),
  rules: fill('---\n\n'),
  'underlined headings': fill('a\n=\n'),
  'one long word': fill('w'),
  'one long line': fill('word '),
  'combining marks': fill('a\u0301\u0302\u0303'),
  'right to left and back': fill('אב ab \u202e\u2066'),
  'a letter of each direction in turn': fill('aب'),
  'words of each direction in turn': fill('a ب '),
  'directions that open only': fill('a\u202b'),
  'directions that open and close': fill('a\u202bb\u202c'),
  'Thai without blanks': fill('สวัสดีครับ'),
  'Khmer without blanks': fill('សួស្តីពិភពលោក'),
  'Burmese with emphasis': fill('**မင်္ဂလာပါ**မင်္ဂလာပါ'),
  'Thai in an item, a heading and a cell': `- ${fill('ไทย', 16_000)}\n\n# ${fill('ไทย', 16_000)}\n\n|a|\n|-|\n|${fill('ไทย', 16_000)}|`,
  'letters of two directions in code': fence('js', fill('aب')),
  'paragraphs of letters of two directions': fill(`${fill('aب', 7_000)}\n\n`),
  'code of one line': fence('js', fill('a{b(')),
  'code of regular expressions': fence('js', fill('/[/')),
  'code of nested templates': fence('js', fill('`${')),
  'code of strings': fence('python', fill('f"{')),
  'code without a language': fence('', fill('<a b=', 4_000)),
  'code that is a prototype': fill('```__proto__\na\n```\n\n```constructor\nb\n```\n\n'),
};

const many = (name, count) => `${HOSTILE[name]}\n\n`.repeat(count);

/** Messages of many blocks that take long to draw, or to parse in vain: each alone is within its bounds. */
export const MANY = {
  'many paragraphs of emphasis': many('emphasis inside emphasis', 15),
  'many quotations that are not parsed': many('lazy lines under deep quotations', 4),
};
