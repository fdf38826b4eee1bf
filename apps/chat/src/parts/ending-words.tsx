//! How an answer ended, in words: on the page and on paper.

import type { Ending } from './run-ending';

export function EndingWords({ ending }: { ending: Ending }) {
  return (
    <div className="run-notice-words">
      {ending.lines.map(line => (
        <p key={line} dir="auto">
          {line}
        </p>
      ))}
      {ending.said && (
        <p className="run-notice-said" dir="auto">
          {ending.said}
        </p>
      )}
    </div>
  );
}
