//! A long text that goes with what is typed: its beginning, its size, and the way to be rid of it.

import { useMemo } from 'react';
import { CopyButton } from '../copy-button';
import { Icon } from '../icon';
import { sizeInWords } from '../text';

const SHOWN = 160;

export function FoldedText({ text, onRemove }: { text: string; onRemove: () => void }) {
  const words = useMemo(() => {
    const bytes = new TextEncoder().encode(text).length;
    const lines = text.split('\n').length;
    return `${sizeInWords(bytes)}, ${lines === 1 ? 'one line' : `${lines} lines`}`;
  }, [text]);
  return (
    <section className="folded-text" aria-label={`Long text, ${words}`}>
      <span className="folded-text-start" dir="auto">
        {text.trimStart().slice(0, SHOWN)}
      </span>
      <span className="folded-text-size">{words}</span>
      <CopyButton text={text} label="Copy the long text" />
      <button
        type="button"
        className="icon-button"
        aria-label="Remove the long text"
        title="Remove"
        onClick={onRemove}
      >
        <Icon name="close" />
      </button>
    </section>
  );
}
