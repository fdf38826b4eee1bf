//! Copies a text and says so for a moment, or says that it failed.

import { useEffect, useState } from 'react';
import { ifAllowed } from '../shell/browser';
import { useReport } from '../shell/reports';
import { Icon } from './icon';

const SAID_FOR = 1_600;

/** What is copied; or the way to it, where it has to be fetched first. */
export type Copied = string | (() => string | Promise<string>);

/**
 * Puts the text onto the clipboard. Browsers let a page write only while it handles a click: the promise of a text goes
 * into the item itself, since Safari does not take one that comes later. On plain http there is no clipboard API; the
 * old command still works there.
 */
async function copy(text: string | Promise<string>): Promise<void> {
  const clipboard = ifAllowed(() => navigator.clipboard);
  if (!clipboard) return copyByCommand(await text);
  if (typeof text === 'string' || typeof ClipboardItem !== 'function') {
    return clipboard.writeText(await text);
  }
  const blob = text.then(text => new Blob([text], { type: 'text/plain' }));
  // The one who waits for the text says why it did not come.
  blob.catch(() => {});
  await clipboard.write([new ClipboardItem({ 'text/plain': blob })]);
}

function copyByCommand(text: string): void {
  const area = document.createElement('textarea');
  area.value = text;
  area.className = 'visually-hidden';
  document.body.append(area);
  area.select();
  const done = document.execCommand('copy');
  area.remove();
  if (!done) throw new Error('The browser did not let the page copy.');
}

/** A button that copies `text`. */
export function CopyButton({ text, label }: { text: Copied; label: string }) {
  const report = useReport();
  const [state, setState] = useState<'idle' | 'copying' | 'copied' | 'failed'>('idle');
  useEffect(() => {
    if (state !== 'copied' && state !== 'failed') return;
    const timer = setTimeout(() => setState('idle'), SAID_FOR);
    return () => clearTimeout(timer);
  }, [state]);
  const start = async () => {
    const source = typeof text === 'string' ? text : text();
    if (typeof source !== 'string') setState('copying');
    try {
      await copy(source);
      setState('copied');
    } catch (error) {
      setState('failed');
      // The clipboard's own error says less than why the text could not be had.
      const why = await Promise.resolve(source).then(
        () => error,
        cause => cause,
      );
      report(why);
    }
  };
  const said = { idle: label, copying: 'Copying', copied: 'Copied', failed: 'Not copied' }[state];
  return (
    <button
      type="button"
      className="icon-button"
      data-state={state}
      aria-label={said}
      title={said}
      disabled={state === 'copying'}
      onClick={() => void start()}
    >
      <Icon name={state === 'copied' ? 'check' : state === 'failed' ? 'close' : 'copy'} />
    </button>
  );
}
