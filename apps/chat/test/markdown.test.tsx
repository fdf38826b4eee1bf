//! The renderer is safe by construction: a corpus of what should never become live, and of what must look right.

import { readFileSync } from 'node:fs';
import { splitBlocks } from '@threadmill/react';
import { renderToStaticMarkup } from 'react-dom/server';
import { describe, expect, it } from 'vitest';
import { colour, parseSpans } from '../src/markdown/highlight-languages';
import { MarkdownBlock } from '../src/markdown/markdown';
import { parseMarkdown, takeParser } from '../src/markdown/parser';
import { proseOf } from '../src/markdown/prose';

takeParser(new WebAssembly.Module(readFileSync(new URL('../wasm/markdown.wasm', import.meta.url))));

const html = (source: string) => renderToStaticMarkup(<MarkdownBlock source={source} />);

const ATTACKS = [
  '<script>alert(1)</script>',
  'a <img src=x onerror=alert(1)> b',
  '<iframe src="https://evil.example"></iframe>',
  '<svg><a xlink:href="javascript:alert(1)">x</a></svg>',
  '[x](javascript:alert(1))',
  '[x](JaVaScRiPt:alert(1))',
  '[x](java\tscript:alert(1))',
  '[x](&#106;avascript:alert(1))',
  '[x](&#x6A;avascript&colon;alert(1))',
  '[x](javascript&#58;alert(1))',
  '[x](data:text/html,<script>alert(1)</script>)',
  '[x](vbscript:msgbox(1))',
  '[x](file:///etc/passwd)',
  '[x](//evil.example)',
  '<javascript:alert(1)>',
  '[x]: javascript:alert(1)\n\n[x]',
  '![x](javascript:alert(1))',
  '![x](data:image/svg+xml;base64,PHN2Zy8+)',
  '![x](https://tracker.example/pixel.gif)',
  '[![x](https://tracker.example/pixel.gif)](javascript:alert(1))',
  '**[x](javascript:alert(1))** _<b onclick=alert(1)>y</b>_',
  '| a |\n|---|\n| <img src=x onerror=alert(1)> [x](javascript:alert(1)) |',
  '> - > [x](javascript:alert(1))\n>   - <script>alert(1)</script>',
  '```"><script>alert(1)</script>\n</code><script>alert(1)</script>\n```',
  '`<script>alert(1)</script>`',
  '# <a href="javascript:alert(1)">x</a>',
  '- [ ] <input onfocus=alert(1) autofocus>',
  '[x](https://ok.example "\\" onmouseover=alert(1)")',
  '&lt;script&gt;alert(1)&lt;/script&gt;',
];

/** Every tag the renderer may write. Attributes are checked apart. */
const TAGS = new Set(
  'h2 p strong em del code br a span button h3 h4 h5 h6 ul ol li input blockquote hr section table thead tbody tr th td figure figcaption pre svg path'.split(
    ' ',
  ),
);

describe('safety', () => {
  it.each(ATTACKS)('nothing live comes of %s', source => {
    const out = html(source);
    for (const [, name] of out.matchAll(/<([a-zA-Z][\w-]*)/g)) expect(TAGS).toContain(name);
    for (const [, href] of out.matchAll(/ href="([^"]*)"/g)) expect(href).toMatch(/^(https?:|mailto:)/);
    expect(out).not.toMatch(/ (src|srcset|xlink:href|style)="(?!text-align)/);
    expect(out.replace(/="[^"]*"/g, '').match(/<[^>]*\son\w+/)).toBeNull();
  });

  it('shows raw HTML as the text it is', () => {
    expect(html('<b onclick=x>hi</b>')).toContain('&lt;b onclick=x&gt;');
    expect(html('a <i>b</i>')).toContain('&lt;i&gt;');
  });

  it('names the host of an image and fetches nothing', () => {
    const out = html('![a cat](https://pics.example/cat.png)');
    expect(out).toContain('Load from pics.example');
    expect(out).not.toContain('<img');
  });

  it('links carry no opener and no referrer', () => {
    expect(html('[x](https://ok.example/a?b=c&d)')).toContain(
      '<a href="https://ok.example/a?b=c&amp;d" target="_blank" rel="noopener noreferrer nofollow">x</a>',
    );
    expect(html('[m](mailto:a@b.example)')).toContain('href="mailto:a@b.example"');
  });

  it.each([
    ['quotes', '>'.repeat(5_000)],
    ['lists', `${'- '.repeat(2_000)}x`],
    ['brackets', '['.repeat(50_000)],
    ['emphasis', '*a '.repeat(20_000)],
    ['links', '[a]('.repeat(10_000)],
    ['length', 'word '.repeat(40_000)],
  ])('does not hang or throw on deep %s', (_, source) => {
    const started = performance.now();
    expect(html(source).length).toBeGreaterThan(0);
    expect(performance.now() - started).toBeLessThan(5_000);
  });
});

describe('what it renders', () => {
  it.each([
    [
      '**bold** _em_ ~~del~~ `code`',
      '<p dir="auto"><strong>bold</strong> <em>em</em> <del>del</del> <code dir="ltr">code</code></p>',
    ],
    ['# Title', '<h2 class="md-h1" dir="auto">Title</h2>'],
    ['3. c\n4. d', '<ol start="3" dir="auto"><li dir="auto">c</li><li dir="auto">d</li></ol>'],
    ['- a\n  - b', '<ul dir="auto"><li dir="auto">a<ul dir="auto"><li dir="auto">b</li></ul></li></ul>'],
    ['> quote', '<blockquote dir="auto"><p dir="auto">quote</p></blockquote>'],
    ['a &amp; b &lt; c &copy; &nope;', '<p dir="auto">a &amp; b &lt; c © &amp;nope;</p>'],
    ['a  \nb', '<p dir="auto">a<br/>b</p>'],
    ['\\*not em\\*', '<p dir="auto">*not em*</p>'],
  ])('%s', (source, expected) => expect(html(source)).toBe(expected));

  const cells = (source: string) =>
    [...html(source).matchAll(/<t[hd][^>]*>(.*?)<\/t[hd]>/g)].map(([, cell]) =>
      cell?.replace(/<[^>]*>/g, ''),
    );

  it.each([
    ['|a|b|\n|-|-|\n|1|2|3 extra|', ['a', 'b', '1', '2|3 extra']],
    ['a | b\n-|-\n1 | 2 | 3 | 4\n5 | 6', ['a', 'b', '1', '2 | 3 | 4', '5', '6']],
    ['|a|\n|-|\n|`x|y`|', ['a', 'x|y']],
    ['|a|b|\n|-|-|\n|x \\| y|2|', ['a', 'b', 'x | y', '2']],
    ['> |a|b|\n> |-|-|\n> |1|2|3|', ['a', 'b', '1', '2|3']],
    ['- item\n\n  |a|b|\n  |-|-|\n  |1|2|3|', ['a', 'b', '1', '2|3']],
    ['|a|b|\n|-|-|\n|1|2|', ['a', 'b', '1', '2']],
  ])('shows all of a row that is longer than its head: %s', (source, expected) =>
    expect(cells(source)).toEqual(expected),
  );

  it.each([
    '|a|b|c|\n|-|-|\n|1|2|3|4|',
    '```\n|a|b|\n|-|-|\n|1|2|3|\n```',
    '|a|b|\n|-|-|\n```\n1|2|3|4\n```',
    'a|b|c\n\n-|-',
    '```\n```js\n|a|b|\n|-|-|\n|1|2|3|\n```',
    '    |a|b|\n    |-|-|\n    |1|2|3|',
    '|a|b|\n|-|-|\n\n    |1|2|3|\n    |-|-|\n    |1|2|3|4|',
    '> ```\n> x\n\n```\n|a|b|\n|-|-|\n|1|2|3|\n```',
  ])('and leaves alone what is no table: %s', source => expect(html(source)).not.toContain('\\'));

  it('shows definitions of links, which become nothing else', () => {
    expect(html('[x]: http://hidden.example "def only"')).toContain(
      '[x]: http://hidden.example &quot;def only&quot;',
    );
    expect(html('')).toBe('');
    expect(html('Words.\n\n[1]: https://one.example\n[2]: https://two.example "Two"')).toContain(
      '[1]: https://one.example\n[2]: https://two.example &quot;Two&quot;',
    );
  });

  it.each([
    'See [one][1].\n\n[1]: https://one.example',
    '```\n[1]: https://one.example\n```',
    'Words\n[1]: https://one.example',
    '- an item\n\n  ```\n  [1]: https://one.example\n  ```',
  ])('but not those that are used, or shown already: %s', source =>
    expect(
      html(source)
        .replace(/<[^>]*>/g, '')
        .split('one.example').length - 1,
    ).toBe(source.includes('See') ? 0 : 1),
  );

  it.each([
    'See [One].\n\n[one]: https://one.example\n[one]: https://two.example',
    'See [words][a  b].\n\n[A b]: https://one.example/ä%20"b',
  ])('nor those whose label is referred to: %s', source =>
    expect(html(source).replace(/<[^>]*>/g, '')).not.toContain(']:'),
  );

  it('but those whose label stands in code alone', () =>
    expect(html('Write `[one]`.\n\n[one]: https://one.example')).toContain('[one]: https://one.example'));

  const said = (source: string) => html(source).replace(/<[^>]*>/g, '');

  it.each([
    ['[rel](/etc/passwd)', 'rel (/etc/passwd)'],
    ['[t](tel:123)', 't (tel:123)'],
    ['[e]()', 'e'],
    ['<javascript:alert(1)>', 'javascript:alert(1)'],
    ['[f](file:///a\u202egpj.exe)', 'f (file:///agpj.exe)'],
  ])('shows where a link would lead that is none: %s', (source, expected) =>
    expect(said(source)).toBe(expected),
  );

  it.each([
    ['[https://bank.example](https://evil.example/x)', 'https://bank.example (evil.example)'],
    ['[bank.example](https://evil.example)', 'bank.example (evil.example)'],
    ['[see www.bank.example now](https://evil.example)', 'see www.bank.example now (evil.example)'],
    ['[**bank**.example](https://evil.example)', 'bank.example (evil.example)'],
    ['[here](https://bank.example@evil.example)', 'here (evil.example)'],
    ['[me@bank.example](mailto:you@evil.example)', 'me@bank.example (you@evil.example)'],
    ['[www.bank.example/a](https://bank.example/b)', 'www.bank.example/a'],
    ['[bank.example](https://www.bank.example)', 'bank.example'],
    ['[README.md](https://git.example/a/README.md)', 'README.md'],
    ['[the bank](https://bank.example)', 'the bank'],
    ['https://bank.example/x', 'https://bank.example/x'],
  ])('says where a link leads if its words say otherwise: %s', (source, expected) =>
    expect(said(source)).toBe(expected),
  );

  it('task lists', () => {
    const out = html('- [x] done\n- [ ] open');
    expect(out).toMatch(/<input[^>]*checked=""[^>]*\/>done/);
    expect(out.match(/type="checkbox"/g)).toHaveLength(2);
  });

  it('tables with alignment', () => {
    const out = html('| a | b |\n|---|--:|\n| 1 | **2** |');
    expect(out).toContain('<th style="text-align:right" dir="auto">b</th>');
    expect(out).toContain('<strong>2</strong>');
  });

  it('code with its language and a copy button', () => {
    const out = html('```rust\nfn a() {}\n```');
    expect(out).toContain('<span class="code-language">Rust</span>');
    expect(out).toContain('aria-label="Copy code"');
    expect(out).toContain('<code>fn a() {}</code>');
  });
});

describe('highlighting', () => {
  const textOf = (nodes: NonNullable<ReturnType<typeof parseSpans>>): string =>
    nodes.map(node => (typeof node === 'string' ? node : textOf(node.children))).join('');

  it.each([
    ['rust', 'fn a<T>(x: &T) -> bool { x != "<b>" && \'&\' }'],
    ['html', '<script>alert("&amp;")</script>'],
    ['python', 'def f(): return """</span><img src=x>"""'],
  ])('keeps every character of %s', (language, code) => {
    expect(textOf(colour(code, language) ?? [])).toBe(code);
  });

  it('leaves foreign markup as text', () => {
    expect(parseSpans('<img src=x><span class="a">b</span>')).toEqual([
      '<img src=x>',
      { className: 'a', children: ['b'] },
    ]);
  });

  it('knows no unknown language', () => expect(colour('x', 'nonsense')).toBeUndefined());
});

describe('blocks', () => {
  const PIECES = [
    'A paragraph\nof two lines.',
    '# Heading\nwith text right after',
    '- a\n- b\n\n  more of b\n\n- c',
    '1. one\n\n   ```js\n   code();\n\n   more();\n   ```\n2. two',
    '```py\nx = 1\n\n\ny = 2\n```',
    '~~~\n```\nnot a fence end\n~~~',
    '| a | b |\n|---|---|\n| 1 | 2 |',
    '> quote\n>\n> ```\n> code\n> ```',
    '    indented code\n\n    still code',
    '<!-- a\n\ncomment -->',
    '<pre>\n\nraw\n\n</pre>',
    '***',
    'Setext\n======',
    '* * *',
    'text\n```\ncode after text\n```\ntext after code',
  ];
  const shape = (source: string) => (parseMarkdown(source).nodes ?? []).map(node => JSON.stringify(node));

  it('cutting into blocks changes nothing that is read', () => {
    let seed = 7;
    const next = (n: number) => {
      seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648;
      return seed % n;
    };
    for (let round = 0; round < 500; round += 1) {
      const source = Array.from({ length: 2 + next(6) }, () => PIECES[next(PIECES.length)]).join('\n\n');
      const whole = shape(source);
      const cut = splitBlocks(source).flatMap(shape);
      expect(cut, JSON.stringify(source)).toEqual(whole);
    }
  });
});

it('what is taken for prose is a paragraph of exactly that text', () => {
  const LETTERS = [...'aZé字 \t.,;!?()"\'$%^+=-{}…09', 'www.', 'www.a.fr', ' a', 'b ', '\n', '*', '1. '];
  let seed = 11;
  const next = (n: number) => {
    seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648;
    return seed % n;
  };
  let taken = 0;
  for (let round = 0; round < 5_000; round += 1) {
    const source = Array.from({ length: 1 + next(12) }, () => LETTERS[next(LETTERS.length)]).join('');
    const text = proseOf(source);
    if (text === undefined) continue;
    taken += 1;
    const nodes = parseMarkdown(source).nodes;
    expect(nodes, JSON.stringify(source)).toEqual([
      { kind: 'paragraph', weight: expect.any(Number), children: [{ kind: 'text', text: text.trimEnd() }] },
    ]);
  }
  expect(taken).toBeGreaterThan(500);
});

it('character references', () => {
  expect(html('&#65;&#x42;&#0;&#xD800;&nope;&toString;')).toBe(
    '<p dir="auto">AB\ufffd\ufffd&amp;nope;&amp;toString;</p>',
  );
});

it('a mark of byte order is a letter like any other', () => {
  expect(html('\ufeffone *two* three')).toBe('<p dir="auto">\ufeffone <em>two</em> three</p>');
  expect(
    html('> \ufeffone\n\n*two*')
      .replace(/<[^>]*>/g, '|')
      .replace(/\|+/g, '|'),
  ).toBe('|\ufeffone|two|');
});
