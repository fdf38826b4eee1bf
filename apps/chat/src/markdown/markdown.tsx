//! Markdown as React elements: GFM, parsed in WebAssembly within bounds; raw HTML is shown as the text it is.
//!
//! Room `markdown`: a text as Markdown, drawn within bounds. It knows the text alone, not the message it is of.

import { type JSX, memo, type ReactNode, useEffect, useMemo, useRef, useSyncExternalStore } from 'react';
import { lettersWeight } from '../text/layout-cost';
import { Pieces, PlainText } from '../text/plain-text';
import { Slices } from '../turns/slices';
import { elementsOf, spend, useTurn } from '../turns/turns';
import { CodeBlock } from './code-block';
import { unusedDefinitions } from './definitions';
import { directionOf, hasLetters } from './direction';
import { renderNode } from './inline';
import { Inline, inlinePieces, runsOf } from './inline-pieces';
import { type Align, CODE_BLOCK, type MarkNode, type ParentNode, weightOf } from './ops';
import { type Outline, outlineAfter, pageLevels } from './outline';
import { fuelFor, parseMarkdown, parserIsReady, requestParser, subscribeToParser } from './parser';
import { proseOf } from './prose';

/** The blocks of a text, in order. More of them may come at the end. */
export function MarkdownBlocks({ blocks }: { blocks: readonly string[] }) {
  const before = useRef<readonly Placed[]>([]);
  const placed = useMemo(() => placesOf(blocks, before.current), [blocks]);
  before.current = placed;
  return <Slices things={placed} weightOf={blockWeight} render={renderPlaced} most={MOST_SLICES} />;
}

/** A message of a megabyte of usual text comes whole. */
const MOST_SLICES = 30;

/** A block and the levels of the headings around it. */
interface Placed {
  readonly source: string;
  readonly outline: string;
  readonly outlineAfter: Outline;
}

/** Takes what was placed before as far as it is the same: a text that grows is not read again. */
function placesOf(blocks: readonly string[], before: readonly Placed[]): readonly Placed[] {
  let open: Outline = [];
  return blocks.map((source, index) => {
    const same = before[index];
    const outline = open.join(' ');
    const place =
      same?.source === source && same.outline === outline
        ? same
        : { source, outline, outlineAfter: outlineAfter(open, source) };
    open = place.outlineAfter;
    return place;
  });
}

/** Before a block is parsed: so many letters make an element. */
const blockWeight = ({ source }: Placed) => 2 + lettersWeight(source);

function renderPlaced({ source, outline }: Placed, index: number): ReactNode {
  return <MarkdownBlock key={index} source={source} outline={outline} />;
}

/** One settled block, or a whole text. Parsed once a source. `outline` is the levels of the headings around it. */
export const MarkdownBlock = memo(function MarkdownBlock(props: { source: string; outline?: string }) {
  const prose = proseOf(props.source);
  if (prose === undefined) return <ParsedBlock source={props.source} outline={props.outline ?? ''} />;
  return (
    <p dir="auto">
      <Inline nodes={[{ kind: 'text', text: prose }]} />
    </p>
  );
});

function ParsedBlock({ source, outline }: { source: string; outline: string }) {
  const ready = useSyncExternalStore(subscribeToParser, parserIsReady, parserIsReady);
  useEffect(requestParser, []);
  const mine = useTurn(ready, guessedWeight(source) + parsingWeight(source));
  const drawn = useMemo(
    () => (ready && mine ? drawnOf(source, outline) : undefined),
    [ready, mine, source, outline],
  );
  if (!drawn) return <PlainText className="md-plain" text={source} />;
  return <Slices things={drawn.nodes} weightOf={weightOf} render={drawn.render} />;
}

/** What a block weighs before it is parsed: many get their turns at once, each by this. */
function guessedWeight(source: string): number {
  return Math.min(MOST_GUESSED, (FENCE.test(source) ? CODE_BLOCK : 4) + 2 * lettersWeight(source));
}

/**
 * What parsing may cost, counted before it is done: several texts that burn all of their fuel would share a task. Shorter
 * ones are counted when they are parsed: a frame's worth of them at their worst is below 100 ms.
 */
function parsingWeight({ length }: string): number {
  return length > LONG ? elementsOf(fuelFor(length)) : 0;
}

/** What a source looks like. Definitions that nothing uses come last, as they were written. */
function drawnOf(source: string, outline: string) {
  const { nodes: parsed, fuel } = parseMarkdown(source);
  const unused = parsed && unusedDefinitions(source, parsed);
  const nodes: typeof parsed =
    parsed && unused?.length ? [...parsed, { kind: 'rawBlock', text: unused.join('\n') }] : parsed;
  spend(Math.max(0, elementsOf(fuel) - parsingWeight(source)));
  if (!nodes) return undefined;
  // Its turn has counted what was guessed. A paragraph has no slices: of whatever else it is, this is more than comes now.
  spend(
    Math.max(
      0,
      nodes.reduce((sum, node) => sum + weightOf(node), -guessedWeight(source)),
    ),
  );
  const levels = pageLevels(nodes, outline === '' ? [] : outline.split(' ').map(Number));
  return { nodes, render: (node: MarkNode, key: number) => renderBlock(node, key, levels) };
}

const FENCE = /^\s*(?:`{3}|~{3})/;
const MOST_GUESSED = 400;
const LONG = 8 * 1024;

type Levels = ReadonlyMap<MarkNode, number>;

function renderBlock(node: MarkNode, key: number, levels: Levels): ReactNode {
  switch (node.kind) {
    case 'paragraph':
      return (
        <p key={key} dir="auto">
          <Inline nodes={node.children} />
        </p>
      );
    case 'heading':
      return <Heading key={key} node={node} pageLevel={levels.get(node) ?? 6} />;
    case 'codeBlock':
      return <CodeBlock key={key} code={node.code} info={node.info} />;
    case 'quote':
      return (
        <blockquote key={key} dir={directionOf(node.children)}>
          <Blocks nodes={node.children} levels={levels} />
        </blockquote>
      );
    case 'list':
      return <List key={key} node={node} levels={levels} />;
    case 'table':
      return <Table key={key} node={node} />;
    case 'rule':
      return <hr key={key} />;
    case 'rawBlock':
      return (
        <p key={key} className="md-plain" dir="auto">
          <Pieces text={node.text} />
        </p>
      );
    case 'item':
    case 'tableHead':
    case 'tableRow':
    case 'tableCell':
    case 'text':
    case 'strong':
    case 'emphasis':
    case 'strike':
    case 'codeSpan':
    case 'hardBreak':
    case 'link':
    case 'image':
    case 'taskBox':
      return renderNode(node, key);
  }
}

function Blocks({ nodes, levels }: { nodes: readonly MarkNode[]; levels: Levels }) {
  return <Slices things={nodes} weightOf={weightOf} render={(node, key) => renderBlock(node, key, levels)} />;
}

/** Their look says what the writer wrote, their element where they are in the page. */
function Heading(props: { node: ParentNode & { kind: 'heading' }; pageLevel: number }) {
  const Tag = `h${props.pageLevel}` as keyof JSX.IntrinsicElements;
  return (
    <Tag className={`md-h${props.node.level}`} dir="auto">
      <Inline nodes={props.node.children} />
    </Tag>
  );
}

function List({ node, levels }: { node: ParentNode & { kind: 'list' }; levels: Levels }) {
  const item = (one: MarkNode, key: number) =>
    'children' in one ? <Item key={key} nodes={one.children} levels={levels} /> : null;
  const items = (
    <Slices things={node.children} weightOf={weightOf} render={item} around={more => <li>{more}</li>} />
  );
  const dir = directionOf(node.children);
  if (node.start === undefined) return <ul dir={dir}>{items}</ul>;
  return (
    <ol start={node.start === 1 ? undefined : node.start} dir={dir}>
      {items}
    </ol>
  );
}

function Item({ nodes, levels }: { nodes: readonly MarkNode[]; levels: Levels }) {
  return (
    <li className={isTask(nodes) ? 'md-task' : undefined} dir={directionOf(nodes)}>
      <ItemBlocks nodes={nodes} levels={levels} />
    </li>
  );
}

/** The letters of an item without paragraphs lie beside its lists: where they are costly, each run of them is in pieces. */
function ItemBlocks({ nodes, levels }: { nodes: readonly MarkNode[]; levels: Levels }) {
  const runs = runsOf(nodes);
  if (!runs.some(run => run.inline && inlinePieces(run.nodes, 'line')))
    return <Blocks nodes={nodes} levels={levels} />;
  return runs.map(({ inline, nodes }, index) =>
    inline ? (
      // biome-ignore lint/suspicious/noArrayIndexKey: what is in an item never moves
      <Inline key={index} nodes={nodes} />
    ) : (
      // biome-ignore lint/suspicious/noArrayIndexKey: as above
      <Blocks key={index} nodes={nodes} levels={levels} />
    ),
  );
}

/** The box stands first, in an item with space around it inside its first paragraph. */
function isTask([first]: readonly MarkNode[]): boolean {
  if (first?.kind === 'paragraph') return isTask(first.children);
  return first?.kind === 'taskBox';
}

function Table({ node }: { node: ParentNode & { kind: 'table' } }) {
  const [head, ...rows] = node.children;
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a wide table scrolls, and the keyboard must reach it
    <section className="md-table" aria-label="Table" tabIndex={0} dir={directionOf(node.children)}>
      <table>
        <thead>{head && <TableRow node={head} columns={node.columns} cell="th" />}</thead>
        <tbody>
          <TableRows rows={rows} columns={node.columns} />
        </tbody>
      </table>
    </section>
  );
}

function TableRows({ rows, columns }: { rows: readonly MarkNode[]; columns: readonly Align[] }) {
  const row = (node: MarkNode, key: number) => <TableRow key={key} node={node} columns={columns} cell="td" />;
  const around = (more: ReactNode) => (
    <tr>
      <td>{more}</td>
    </tr>
  );
  return <Slices things={rows} weightOf={weightOf} render={row} around={around} />;
}

/** Numbers stand where the table's words begin. */
function cellDirection(cell: MarkNode): 'auto' | undefined {
  return 'children' in cell && hasLetters(cell.children) ? 'auto' : undefined;
}

/** The parser leaves empty cells at the end of a row out; those of a usual table are drawn, for the line below them. */
const MOST_FILLED = 24;
const NOTHING: MarkNode = { kind: 'text', text: '' };

function TableRow(props: { node: MarkNode; columns: readonly Align[]; cell: 'td' | 'th' }) {
  const { node, columns, cell: Cell } = props;
  if (!('children' in node)) return null;
  const cell = (one: MarkNode, column: number) => (
    <Cell key={column} style={{ textAlign: columns[column] }} dir={cellDirection(one)}>
      {'children' in one ? <Inline nodes={one.children} place="cell" /> : null}
    </Cell>
  );
  const missing = Math.min(columns.length, MOST_FILLED) - node.children.length;
  return (
    <tr>
      <Slices things={node.children} weightOf={weightOf} render={cell} around={more => <td>{more}</td>} />
      {missing > 0 &&
        Array.from({ length: missing }, (_, column) => cell(NOTHING, node.children.length + column))}
    </tr>
  );
}
