//! The control of the render count: a list written the obvious way, on the same stream, counting the same thing.

import { useEffect, useState } from 'react';
import { createRoot } from 'react-dom/client';

interface Counted {
  tokens: number;
  listRenders: number;
  rowRenders: number;
}

declare global {
  interface Window {
    __control?: (threadId: string) => Promise<void>;
    __controlCounts?: Counted;
  }
}

const counts: Counted = { tokens: 0, listRenders: 0, rowRenders: 0 };
const ROWS = 50;

function NaiveRow({ text }: { text: string }) {
  counts.rowRenders += 1;
  return <p>{text}</p>;
}

function NaiveList({ events }: { events: EventSource }) {
  counts.listRenders += 1;
  const [text, setText] = useState('');
  useEffect(() => {
    events.addEventListener('chunks', event => {
      const { chunks } = JSON.parse((event as MessageEvent<string>).data) as { chunks: { delta?: string }[] };
      for (const { delta } of chunks) {
        if (delta === undefined) continue;
        counts.tokens += 1;
        setText(before => before + delta);
      }
    });
  }, [events]);
  const rows = Array.from({ length: ROWS }, (_, index) => (index === ROWS - 1 ? text : 'before'));
  // biome-ignore lint/suspicious/noArrayIndexKey: this is how naive it is
  return rows.map((row, index) => <NaiveRow key={index} text={row} />);
}

/** Mounts the control out of sight and follows a thread. Resolves when it is connected. */
window.__control = threadId =>
  new Promise(done => {
    const place = document.createElement('div');
    place.style.cssText = 'position: fixed; inset: auto auto 0 0; width: 1px; height: 1px; overflow: hidden';
    document.body.append(place);
    const events = new EventSource(`/v1/threads/${threadId}/events`);
    events.addEventListener('window', () => done(), { once: true });
    window.__controlCounts = counts;
    createRoot(place).render(<NaiveList events={events} />);
  });
