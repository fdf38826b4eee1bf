//! A command to be run elsewhere, and the button that copies it.

import { CopyButton } from '../../controls/copy-button';

export function Command({ text }: { text: string }) {
  return (
    <div className="command">
      <code>{text}</code>
      <CopyButton text={text} label="Copy command" />
    </div>
  );
}

/** An id, and the button that copies it whole. */
export function Id({ id, children }: { id: string; children: React.ReactNode }) {
  return (
    <span className="id" title={id}>
      {children}
      <CopyButton text={id} label={`Copy id ${id}`} />
    </span>
  );
}
