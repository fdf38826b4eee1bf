//! Tells screen readers that an answer started and how it ended; never its tokens, which would be noise.

import type { Row, ThreadSnapshot } from '@threadmill/client';
import { useEffect, useRef, useState } from 'react';

const ENDS: Readonly<Record<string, string>> = {
  complete: 'The answer is complete.',
  stopped: 'The answer was stopped.',
  interrupted: 'The answer was interrupted.',
  failed: 'The answer failed.',
};

export function LiveNews({ run, rows }: { run: ThreadSnapshot['run']; rows: readonly Row[] }) {
  const [news, setNews] = useState('');
  const writing = useRef<string>(undefined);
  const latest = useRef(rows);
  latest.current = rows;
  const message = run?.message;
  useEffect(() => {
    if (message !== undefined) setNews('An answer is being written.');
    else if (writing.current !== undefined) {
      const ended = latest.current.find(row => row.id === writing.current);
      setNews(ENDS[ended?.status ?? ''] ?? '');
    }
    writing.current = message;
  }, [message]);
  return (
    <div className="visually-hidden" role="status" aria-live="polite">
      {news}
    </div>
  );
}
