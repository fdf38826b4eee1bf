//! The letters of a paragraph as React elements. Text only ever becomes text nodes; no string of a message is read as
//! HTML.

import type { ReactNode } from 'react';
import { asName, cutTo } from '../text/text';
import { lettersOf, type MarkNode } from './ops';
import { RemoteImage } from './remote-image';
import { otherPlace, safeLink } from './safe-url';

/** Renders nodes in order. Nodes of a settled block never move, so their position names them. */
export function renderInline(nodes: readonly MarkNode[]): ReactNode[] {
  return nodes.map(renderNode);
}

/** One node; blocks have no place here and show nothing. */
export function renderNode(node: MarkNode, key: number): ReactNode {
  switch (node.kind) {
    case 'text':
      return node.text;
    case 'strong':
      return <strong key={key}>{renderInline(node.children)}</strong>;
    case 'emphasis':
      return <em key={key}>{renderInline(node.children)}</em>;
    case 'strike':
      return <del key={key}>{renderInline(node.children)}</del>;
    case 'codeSpan':
      // With a direction of its own it has no part in that of the paragraph that begins with it.
      return (
        <code key={key} dir="ltr">
          {node.text}
        </code>
      );
    case 'hardBreak':
      return <br key={key} />;
    case 'link':
      return (
        <Link key={key} address={node.address} title={node.title} words={lettersOf(node.children)}>
          {renderInline(node.children)}
        </Link>
      );
    case 'image':
      return <RemoteImage key={key} source={node.address} alt={node.words} />;
    case 'taskBox':
      return <TaskBox key={key} checked={node.checked} />;
    case 'rule':
    case 'codeBlock':
    case 'rawBlock':
    case 'paragraph':
    case 'quote':
    case 'heading':
    case 'list':
    case 'item':
    case 'table':
    case 'tableHead':
    case 'tableRow':
    case 'tableCell':
      return null;
  }
}

function TaskBox({ checked }: { checked: boolean }) {
  const name = checked ? 'Done' : 'To do';
  return <input type="checkbox" aria-label={name} checked={checked} readOnly tabIndex={-1} />;
}

/** Letters of an address that leads nowhere. */
const GLANCE = 300;

/** A link, and where it leads if its words name another place. What may not be followed is there to be read. */
function Link(props: { address: string; title: string; words: string; children: ReactNode }) {
  const { address, title, words, children } = props;
  const href = safeLink(address);
  if (!href) {
    const said = address === '' || address === words;
    return (
      <span className="md-dead-link">
        {children}
        {said ? null : <Place name={cutTo(address, GLANCE)} />}
      </span>
    );
  }
  const place = otherPlace(words, href);
  return (
    <>
      <a href={href} target="_blank" rel="noopener noreferrer nofollow" title={title || undefined}>
        {children}
      </a>
      {place === undefined ? null : <Place name={place} />}
    </>
  );
}

/** Its direction is its own: nothing beside it turns its letters round. */
function Place({ name }: { name: string }) {
  return (
    <span className="md-link-place">
      {' ('}
      <span dir="ltr">{asName(name)}</span>)
    </span>
  );
}
