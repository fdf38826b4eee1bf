//! A code block: its language, a copy button, and colours once the highlighter is there.

import { memo, type ReactNode, useEffect, useState } from 'react';
import { CopyButton } from '../controls/copy-button';
import { Pieces } from '../text/plain-text';
import type { CodeNode } from './colour-job';
import { cachedHighlight, highlight, languageName } from './highlight';

/** Colours change no metric: a row is as high before as after. */
export const CodeBlock = memo(function CodeBlock({ code, info }: { code: string; info: string }) {
  const language = info.trim().split(/\s+/, 1)[0] ?? '';
  const [nodes, setNodes] = useState(() => cachedHighlight(code, language));
  useEffect(() => (nodes ? undefined : highlight(code, language, setNodes)), [nodes, code, language]);
  return (
    <figure className="code">
      <figcaption>
        <span className="code-language">{languageName(language)}</span>
        <CopyButton text={code} label="Copy code" />
      </figcaption>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: wide code scrolls, and the keyboard must reach it */}
      <pre tabIndex={0} dir="ltr">
        <code>{nodes ? nodes.map(renderNode) : <Pieces text={code} />}</code>
      </pre>
    </figure>
  );
});

function renderNode(node: CodeNode, key: number): ReactNode {
  if (typeof node === 'string') return node;
  return (
    <span key={key} className={node.className}>
      {node.children.map(renderNode)}
    </span>
  );
}
