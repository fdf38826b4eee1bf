//! Tells screen readers that an answer started and how it ended, and what became of a message that could not be sent at
//! once; never an answer's tokens, which would be noise.

import type { OutboxItem, Row, ThreadSnapshot } from '@threadmill/client';
import { useSyncStatus } from '@threadmill/react';
import { useEffect, useRef, useState } from 'react';
import { isConnected } from '../shell/connected';

const ENDS: ReadonlyMap<string, string> = new Map([
  ['complete', 'The answer is complete.'],
  ['stopped', 'The answer was stopped.'],
  ['interrupted', 'The answer was interrupted.'],
  ['failed', 'The answer failed.'],
]);

interface LiveNewsProps {
  readonly run: ThreadSnapshot['run'];
  readonly rows: readonly Row[];
  /** The thread's writes that are not acknowledged. */
  readonly items: readonly OutboxItem[];
}

export function LiveNews({ run, rows, items }: LiveNewsProps) {
  const connected = isConnected(useSyncStatus({ smooth: true }));
  const [news, setNews] = useState('');
  const writing = useRef<string>(undefined);
  const latest = useRef(rows);
  latest.current = rows;
  const message = run?.message;
  useEffect(() => {
    if (message !== undefined) setNews('An answer is being written.');
    else if (writing.current !== undefined) {
      const ended = latest.current.find(row => row.id === writing.current);
      setNews(ENDS.get(ended?.status ?? '') ?? '');
    }
    writing.current = message;
  }, [message]);
  const waiting = !connected && items.some(item => item.state !== 'failed');
  useEffect(() => {
    if (waiting) setNews('Your message is kept. It will be sent when the connection is back.');
  }, [waiting]);
  return (
    <div className="visually-hidden" role="status" aria-live="polite">
      {news}
    </div>
  );
}
