//! Nothing a message holds takes the page away: hostile Markdown, words that objects know, nesting, sizes.

import { readFileSync } from 'node:fs';
import type { Part, Row } from '@threadmill/client';
import { renderToStaticMarkup } from 'react-dom/server';
import { describe, expect, it } from 'vitest';
import { HOSTILE } from '../e2e/bars/hostile.mjs';
import { splitDraft } from '../src/composer/long-text';
import { LONGEST as LONGEST_FIELD } from '../src/controls/text-gate';
import { languageName } from '../src/markdown/highlight';
import { colour, parseSpans } from '../src/markdown/highlight-languages';
import { MarkdownBlock, MarkdownBlocks } from '../src/markdown/markdown';
import { LONGEST, parseMarkdown, takeParser } from '../src/markdown/parser';
import { OtherPart } from '../src/parts/other-part';
import { PrintedThread } from '../src/print/printed-thread';
import { restOf } from '../src/row/edit-box';
import { jsonOf } from '../src/text/json';
import { piecesOf } from '../src/text/plain-text';
import { slicesOf } from '../src/turns/slices';
import { DrawnWhole } from '../src/turns/turns';

takeParser(new WebAssembly.Module(readFileSync(new URL('../wasm/markdown.wasm', import.meta.url))));

const html = (source: string) => renderToStaticMarkup(<MarkdownBlock source={source} />);
const textOf = (markup: string) => markup.replace(/<[^>]*>/g, '');

/** What a browser takes for a task is 200 ms; a machine that tests other things besides gets five times that. */
const GENEROUS = 1_000;

describe('hostile Markdown', () => {
  it.each(Object.entries(HOSTILE))('%s: parsed within its fuel or shown as it is', (_, source) => {
    expect(source.length).toBeLessThanOrEqual(LONGEST);
    const started = performance.now();
    const { fuel } = parseMarkdown(source);
    expect(performance.now() - started).toBeLessThan(GENEROUS);
    expect(fuel).toBeLessThanOrEqual(128 * LONGEST + 40_000);
    expect(html(source)).not.toBe('');
  });

  it('runs out of fuel where the parser is not linear, and reads the next text all the same', () => {
    for (const name of ['lazy lines under deep quotations', 'lazy lines under deep lists'] as const) {
      const source = HOSTILE[name] ?? '';
      // What was burnt for nothing counts too.
      expect(parseMarkdown(source)).toEqual({ nodes: undefined, fuel: 128 * source.length + 40_000 });
      expect(textOf(html(source))).toContain('b\nb\nb');
      expect(html('*next*')).toBe('<p dir="auto"><em>next</em></p>');
    }
  });

  it('reads a long text of letters of three bytes, whose fuel is bound by letters and not by bytes', () => {
    expect(parseMarkdown('**字字**字字、字[字](https://a.example)。'.repeat(1_600))).toBeDefined();
  });

  it('counts: the fuel of twice a text is twice the fuel', () => {
    for (const unit of ['*a **b', '[a](', '> - a\n', '| a ', '`a', 'word '] as const) {
      const fuel = (times: number) => parseMarkdown(unit.repeat(times)).fuel;
      expect(fuel(8_000) / fuel(4_000), unit).toBeLessThan(2.6);
    }
  });

  it('shows a text beyond all bounds as it is', () => {
    const source = `${'*a* '.repeat(50_000)}end`;
    expect(parseMarkdown(source).nodes).toBeUndefined();
    expect(html(source)).toContain('*a* *a*');
  });

  it('draws a long list in slices and offers the rest', () => {
    const out = renderToStaticMarkup(<MarkdownBlock source={'- a\n'.repeat(12_000)} />);
    const items = out.match(/<li/g)?.length ?? 0;
    expect(items).toBeGreaterThan(1_000);
    expect(items).toBeLessThan(6_000);
    expect(out).toContain('Show more');
  });
});

it('what is printed is drawn whole', () => {
  const out = renderToStaticMarkup(
    <DrawnWhole value={true}>
      <MarkdownBlock source={'- a\n'.repeat(4_000)} />
    </DrawnWhole>,
  );
  expect(out.match(/<li/g)).toHaveLength(4_000);
  expect(out).not.toContain('Show more');
});

describe('on paper', () => {
  const message = (...parts: { type: string }[]) =>
    renderToStaticMarkup(
      <PrintedThread
        title="A thread"
        notice={undefined}
        messages={[
          {
            ...{
              id: 'm',
              role: 'assistant',
              status: 'complete',
              depth: 0,
              branch: 'b',
              rev: 1,
              createdAt: 0,
            },
            parts,
          } as Row,
        ]}
      />,
    );

  it('reasoning, tools and data are open', () => {
    const out = message(
      { type: 'reasoning', text: 'First this.' } as Part,
      { type: 'tool-search', state: 'output-available', input: { q: 'needle' }, output: 'found' } as Part,
      { type: 'data-x', data: { word: 'datum' } } as Part,
    );
    expect(out.match(/<details[^>]*open/g)).toHaveLength(3);
    for (const word of ['First this.', 'needle', 'found', 'done', 'datum']) expect(out).toContain(word);
    expect(out).not.toContain('print-notice');
  });

  it('a long one is printed as far as it goes, and that is said', () => {
    const out = message({ type: 'reasoning', text: `${'a'.repeat(19_999)}😀${'b'.repeat(50_000)}` } as Part);
    expect(textOf(out)).toContain('a'.repeat(19_999));
    expect(out).not.toMatch(/[b\ud83d]{2}/);
    expect(out).toContain('49 KB more are not printed.');
  });

  it('links by reference are links, as on the page', () => {
    const out = message({
      type: 'text',
      text: 'See [the page][1].\n\nMore.\n\n[1]: https://a.example/',
    } as Part);
    expect(out).toContain('<a href="https://a.example/"');
    expect(out).not.toContain('[1]');
  });

  it('that an answer failed is said, and why', () => {
    const row = {
      ...{ id: 'm', role: 'assistant', status: 'failed', depth: 0, branch: 'b', rev: 1, createdAt: 0 },
      parts: [{ type: 'text', text: 'half an ans' }],
      metadata: { error: { message: 'The provider answered 429.', providerMessage: 'Quota' } },
    } as Row;
    const out = textOf(renderToStaticMarkup(<PrintedThread title="ت" notice={undefined} messages={[row]} />));
    for (const words of ['half an ans', 'This answer failed.', 'The provider answered 429.', 'Quota'])
      expect(out).toContain(words);
  });

  it('what nobody knows who said is printed', () => {
    expect(message()).toContain('Assistant');
    const odd = { id: 'm', role: '__proto__', createdAt: 0, parts: [{ type: 'text', text: 'said' }] };
    const out = renderToStaticMarkup(
      <PrintedThread title="" notice={undefined} messages={[odd as unknown as Row]} />,
    );
    expect(textOf(out)).toContain('said');
  });
});

describe('words that objects know', () => {
  const WORDS = ['__proto__', 'constructor', 'toString', 'hasOwnProperty', 'valueOf', '__defineGetter__'];

  it.each(WORDS)('a fence called %s', word => {
    expect(languageName(word)).toBe(word.charAt(0).toUpperCase() + word.slice(1, 24));
    expect(html(`\`\`\`${word}\na\n\`\`\``)).toContain('<code>a</code>');
    expect(colour('a', word)).toBeUndefined();
  });

  it.each(WORDS)('a tool and its state called %s', word => {
    const part = { type: 'dynamic-tool', toolName: word, state: word, toolCallId: 'c', input: {} };
    const out = renderToStaticMarkup(<OtherPart part={part} />);
    expect(out).toContain(word);
    expect(out).not.toContain('folded-note');
    expect(renderToStaticMarkup(<OtherPart part={{ type: `tool-${word}`, state: word }} />)).toContain(word);
  });

  // Underscores are emphasis here.
  it.each(WORDS.filter(word => !word.startsWith('_')))('a reference called &%s;', word => {
    expect(textOf(html(`a &${word}; *b*`))).toBe(`a &amp;${word}; b`);
  });

  it('a member called __proto__ in the data of a tool is data', () => {
    const part = JSON.parse(
      '{"type":"tool-x","state":"output-available","output":{"__proto__":{"state":1}}}',
    );
    expect(renderToStaticMarkup(<OtherPart part={part} />)).toContain('__proto__');
  });
});

describe('sizes', () => {
  it('a tool output is shown whole', () => {
    const out = jsonOf({ output: 'x'.repeat(972_000) });
    expect(out.length).toBeGreaterThan(972_000);
  });

  it('data nested deeply is not indented by its depth', () => {
    const deep = JSON.parse(`${'['.repeat(3_000)}1${']'.repeat(3_000)}`);
    expect(jsonOf({ output: deep }).length).toBeLessThan(10_000);
  });

  it.each([
    ['lines', 'a line of some words\n'.repeat(50_000)],
    ['one line', 'word '.repeat(200_000)],
    ['one word', 'w'.repeat(1_000_000)],
    ['pairs', `x${'😀'.repeat(300_000)}`],
  ])('a megabyte of %s is cut into pieces that are the text', (_, text) => {
    const pieces = piecesOf(text);
    expect(pieces.map(piece => piece.text).join('')).toBe(text);
    for (const piece of pieces) {
      expect(piece.text.length).toBeLessThanOrEqual(16 * 1024);
      expect(piece.text).not.toMatch(/^[\udc00-\udfff]|[\ud800-\udbff]$/);
    }
  });

  it('pieces that share a line say so, the last of it too', () => {
    const text = `{\n${'word '.repeat(5_000)}\n}\n${'a line\n'.repeat(500)}end`;
    let begins = true;
    for (const piece of piecesOf(text)) {
      const ends = piece.text.endsWith('\n') || piece.text.endsWith('end');
      expect(piece.broken).toBe(!(begins && ends));
      begins = ends;
    }
  });

  it('of a long text the editor shows the beginning, and has the rest', () => {
    expect(restOf('x'.repeat(LONGEST_FIELD))).toBe('');
    for (const text of ['a line\n'.repeat(50_000), `x${'😀'.repeat(100_000)}`]) {
      const rest = restOf(text);
      const shown = text.slice(0, text.length - rest.length);
      expect(shown + rest).toBe(text);
      expect(shown.length).toBeGreaterThan(1_000);
      expect(shown.length).toBeLessThan(20_000);
      expect(shown).not.toMatch(/[\ud800-\udbff]$/);
    }
  });

  it('more at the end moves no slice but the last', () => {
    const weights = Array.from({ length: 500 }, (_, n) => 1 + (n % 37));
    const whole = slicesOf(weights, weight => weight);
    const some = slicesOf(weights.slice(0, 300), weight => weight);
    expect(whole.slice(0, some.length - 1)).toEqual(some.slice(0, -1));
    for (const { weight, start, end } of whole) expect(weight <= 400 || end - start === 1).toBe(true);
  });

  it('spans of code end at a depth and a number', () => {
    const deep = `${'<span class="a">'.repeat(1_000)}x${'</span>'.repeat(1_000)}`;
    const depth = (nodes: ReturnType<typeof parseSpans>): number =>
      Math.max(0, ...(nodes ?? []).map(node => (typeof node === 'string' ? 0 : 1 + depth(node.children))));
    expect(depth(parseSpans(deep))).toBeLessThanOrEqual(16);
    expect(parseSpans('<span class="a">x</span>'.repeat(10_000))).toBeUndefined();
  });
});

describe('a long draft', () => {
  const long = 'line of text\n'.repeat(10_000);

  const none = { typed: '', held: '' };

  it('is held, and what is typed beside it is typed', () => {
    expect(splitDraft('short', none)).toEqual({ typed: 'short', held: '' });
    expect(splitDraft(long, none)).toEqual({ typed: '', held: long });
    expect(splitDraft(`hello\n\n${long}`, { typed: '', held: long })).toEqual({ typed: 'hello', held: long });
    expect(splitDraft(long, { typed: 'hello', held: long })).toEqual({ typed: '', held: long });
  });

  it('is held whole after a reload, and gone with the draft', () => {
    expect(splitDraft(`hello\n\n${long}`, none)).toEqual({ typed: '', held: `hello\n\n${long}` });
    expect(splitDraft('', { typed: '', held: long })).toEqual(none);
  });

  it('stays in the field as far as it was typed there, however long that is', () => {
    const typed = 'x'.repeat(LONGEST_FIELD + 1);
    expect(splitDraft(typed, { typed, held: '' })).toEqual({ typed, held: '' });
    expect(splitDraft(`${typed}\n\n${long}`, { typed, held: long })).toEqual({ typed, held: long });
  });
});

describe('directions', () => {
  it('each block has its own', () => {
    const out = html(
      'مرحبا (Hello)؟\n\n- שלום\n- Hello\n\n> اقتباس\n\n| عنوان | b |\n|---|---|\n| قيمة | c |\n\n# عنوان',
    );
    expect(out).toContain('<p dir="auto">مرحبا (Hello)؟</p>');
    expect(out).toContain('<ul dir="rtl"><li dir="rtl">שלום</li><li dir="auto">Hello</li></ul>');
    expect(out).toContain('<blockquote dir="rtl"><p dir="auto">');
    expect(out).toMatch(/<section[^>]* dir="rtl"><table>/);
    expect(out).toContain('<td dir="auto">قيمة</td>');
    expect(out).toContain('<h2 class="md-h1" dir="auto">');
  });

  it('a paragraph that begins with code reads as its words do', () => {
    expect(html('`npm install` מתקין')).toBe('<p dir="auto"><code dir="ltr">npm install</code> מתקין</p>');
  });

  it('titles and names have their own', () => {
    const paper = renderToStaticMarkup(<PrintedThread title="عنوان" notice={undefined} messages={[]} />);
    expect(paper).toContain('<h1 dir="auto">');
    const chip = (part: object) => renderToStaticMarkup(<OtherPart part={part as Part} />);
    expect(chip({ type: 'file', mediaType: 'text/plain', filename: 'ملف', url: '' })).toContain('dir="auto"');
    const source = { type: 'source-url', url: 'https://a.example', title: 'مصدر' };
    expect(chip(source)).toContain('dir="auto"');
  });

  it('a source says its host, whatever it is called, and a file its name as it is written', () => {
    const words = (part: object) =>
      renderToStaticMarkup(<OtherPart part={part as Part} />).replace(/<[^>]*>/g, ' ');
    const source = { type: 'source-url', url: 'https://u:p@evil.example', title: 'https://bank.example' };
    expect(words(source)).toMatch(/https:\/\/bank\.example +evil\.example/);
    const file = { type: 'file', mediaType: 'application/pdf', filename: '\u202efdp.exe', url: '' };
    expect(words(file)).toContain(' fdp.exe');
  });

  it('code reads from left to right', () => {
    expect(html('```\nשלום = 1\n```')).toContain('dir="ltr"><code>');
  });

  it('text of one line, and as it was written', () => {
    expect(html('مرحبا')).toBe('<p dir="auto">مرحبا</p>');
    expect(html(`${'שלום '.repeat(20_000)}`)).toMatch(/^<p class="md-plain" dir="auto">/);
  });
});

describe('what people wrote', () => {
  it.each([
    String.raw`\(a^2 + b_1 * c_2 * d\)`,
    String.raw`\[ \begin{matrix} a \\ b \end{matrix} \]`,
    '$x_1 * y_2 * z$',
    '$$ a \\\\ b $$',
  ])('the formula %s', source => {
    expect(textOf(html(source)).replaceAll('&amp;', '&')).toBe(source);
  });

  it('boxes of tasks say what they are', () => {
    const out = html('- [x] done\n- [ ] open');
    expect(out).toContain('aria-label="Done"');
    expect(out).toContain('aria-label="To do"');
  });

  it('headings of a message begin below the title of the page and skip no level', () => {
    const out = renderToStaticMarkup(
      <MarkdownBlocks
        blocks={['### a\n\n', '#### b\n\n', '```\n# no\n```\n\n', '# c\n\n', '### d\n\n### e\n']}
      />,
    );
    expect([...out.matchAll(/<(h\d) class="(md-h\d)"/g)].map(([, tag, look]) => `${tag} ${look}`)).toEqual([
      'h2 md-h3',
      'h3 md-h4',
      'h2 md-h1',
      'h3 md-h3',
      'h3 md-h3',
    ]);
  });
});
