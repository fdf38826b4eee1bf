//! Inline tokens as React elements. Text only ever becomes text nodes; no string of a message is read as HTML.

import type { Token, Tokens } from 'marked';
import type { ReactNode } from 'react';
import { decodeEntities } from './entities';
import { RemoteImage } from './remote-image';
import { safeLink } from './safe-url';

/** Nesting beyond this is shown as source. */
const DEEPEST = 24;

/** Renders tokens in order; `depth` counts the nesting so far. */
export function renderInline(tokens: readonly Token[] | undefined, depth = 0): ReactNode[] {
  // Tokens of a settled block never move, so their position names them.
  return (tokens ?? []).map((token, index) => renderToken(token, index, depth));
}

function renderToken(token: Token, key: number, depth: number): ReactNode {
  if (depth > DEEPEST) return token.raw;
  const inner = () => renderInline((token as Tokens.Generic).tokens, depth + 1);
  switch (token.type) {
    case 'strong':
      return <strong key={key}>{inner()}</strong>;
    case 'em':
      return <em key={key}>{inner()}</em>;
    case 'del':
      return <del key={key}>{inner()}</del>;
    case 'codespan':
      return <code key={key}>{(token as Tokens.Codespan).text}</code>;
    case 'br':
      return <br key={key} />;
    case 'link':
      return <Link key={key} token={token as Tokens.Link} inner={inner()} />;
    case 'image':
      return <RemoteImage key={key} source={token.href} alt={decodeEntities(token.text)} />;
    case 'escape':
      return token.text;
    case 'text':
      return 'tokens' in token && token.tokens ? (
        <span key={key}>{inner()}</span>
      ) : (
        decodeEntities((token as Tokens.Text).text)
      );
    default:
      return token.raw;
  }
}

function Link({ token, inner }: { token: Tokens.Link; inner: ReactNode[] }) {
  const href = safeLink(decodeEntities(token.href));
  if (!href) return <span className="md-dead-link">{inner}</span>;
  return (
    <a href={href} target="_blank" rel="noopener noreferrer nofollow" title={token.title ?? undefined}>
      {inner}
    </a>
  );
}
