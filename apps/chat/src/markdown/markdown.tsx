//! Block tokens as React elements. GFM from marked's lexer; raw HTML is shown as the text it is.

import type { Token, Tokens } from 'marked';
import { type JSX, memo, type ReactNode } from 'react';
import { CodeBlock } from './code-block';
import { decodeEntities } from './entities';
import { renderInline } from './inline';
import { lexBlock } from './lex';

const DEEPEST = 24;

/** One settled block, or a whole text. Lexed once a source. */
export const MarkdownBlock = memo(function MarkdownBlock({ source }: { source: string }) {
  const tokens = lexBlock(source);
  if (!tokens) return <p className="md-plain">{source}</p>;
  return <>{renderBlocks(tokens, 0)}</>;
});

function renderBlocks(tokens: readonly Token[], depth: number): ReactNode[] {
  return tokens.map((token, index) => renderBlock(token, index, depth));
}

function renderBlock(token: Token, key: number, depth: number): ReactNode {
  if (depth > DEEPEST) return token.raw;
  switch (token.type) {
    case 'space':
    case 'def':
      return null;
    case 'paragraph':
      return <p key={key}>{renderInline(token.tokens)}</p>;
    case 'heading':
      return <Heading key={key} token={token as Tokens.Heading} />;
    case 'code':
      return <CodeBlock key={key} code={token.text} info={token.lang ?? ''} />;
    case 'blockquote':
      return <blockquote key={key}>{renderBlocks(token.tokens ?? [], depth + 1)}</blockquote>;
    case 'list':
      return <List key={key} token={token as Tokens.List} depth={depth} />;
    case 'table':
      return <Table key={key} token={token as Tokens.Table} />;
    case 'hr':
      return <hr key={key} />;
    case 'html':
      return (
        <p key={key} className="md-plain">
          {token.raw.trimEnd()}
        </p>
      );
    case 'text':
      return token.tokens ? renderInline(token.tokens) : decodeEntities(token.text);
    default:
      return token.raw;
  }
}

/** Headings of a message sit below those of the page: its first level is the page's third. */
function Heading({ token }: { token: Tokens.Heading }) {
  const Tag = `h${Math.min(6, token.depth + 2)}` as keyof JSX.IntrinsicElements;
  return <Tag className={`md-h${token.depth}`}>{renderInline(token.tokens)}</Tag>;
}

function List({ token, depth }: { token: Tokens.List; depth: number }) {
  const items = token.items.map((item, index) => (
    // biome-ignore lint/suspicious/noArrayIndexKey: items of a settled list never move
    <li key={index} className={item.task ? 'md-task' : undefined}>
      {item.task && <input type="checkbox" checked={item.checked === true} readOnly tabIndex={-1} />}
      {renderBlocks(
        item.tokens.filter(inner => inner.type !== 'checkbox'),
        depth + 1,
      )}
    </li>
  ));
  if (!token.ordered) return <ul>{items}</ul>;
  return <ol start={token.start === '' ? undefined : token.start}>{items}</ol>;
}

function Table({ token }: { token: Tokens.Table }) {
  const cell = (content: Tokens.TableCell, index: number, Tag: 'td' | 'th') => (
    <Tag key={index} style={{ textAlign: token.align[index] ?? undefined }}>
      {renderInline(content.tokens)}
    </Tag>
  );
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a wide table scrolls, and the keyboard must reach it
    <section className="md-table" aria-label="Table" tabIndex={0}>
      <table>
        <thead>
          <tr>{token.header.map((content, index) => cell(content, index, 'th'))}</tr>
        </thead>
        <tbody>
          {token.rows.map((row, index) => (
            // biome-ignore lint/suspicious/noArrayIndexKey: rows of a settled table never move
            <tr key={index}>{row.map((content, column) => cell(content, column, 'td'))}</tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}
