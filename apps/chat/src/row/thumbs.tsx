//! Thumbs under an answer, and after one down the way to say more.

import { useState } from 'react';
import { Icon } from '../controls/icon';
import { ProblemDialog } from '../controls/problem-dialog';
import { keepThumb, type Thumb, thumbOf } from '../parts/opinions';
import { useThreadActions } from '../parts/thread-actions';
import { useReport } from '../shell/reports';

const LABELS = { up: 'Good answer', down: 'Bad answer' } as const;

export function Thumbs({ messageId }: { messageId: string }) {
  const { judge } = useThreadActions();
  const report = useReport();
  const [thumb, setThumb] = useState(() => thumbOf(messageId));
  const [asking, setAsking] = useState(false);
  const [reported, setReported] = useState(false);
  const choose = (next: Thumb) => {
    if (next === thumb) return;
    const show = (shown: Thumb | undefined) => {
      keepThumb(messageId, shown);
      setThumb(shown);
    };
    show(next);
    judge(messageId, { kind: next }).catch((error: unknown) => {
      // Another was chosen meanwhile: that one stands.
      if (thumbOf(messageId) === next) show(thumb);
      report(error);
    });
  };
  const send = async (text: string | undefined) => {
    await judge(messageId, { kind: 'problem', ...(text === undefined ? {} : { text, consent: true }) });
    setReported(true);
  };
  return (
    <>
      {(['up', 'down'] as const).map(which => (
        <button
          key={which}
          type="button"
          className="icon-button thumb"
          aria-label={LABELS[which]}
          title={LABELS[which]}
          aria-pressed={thumb === which}
          onClick={() => choose(which)}
        >
          <Icon name={which === 'up' ? 'good' : 'bad'} />
        </button>
      ))}
      {thumb === 'down' && (
        <button type="button" className="text-button" disabled={reported} onClick={() => setAsking(true)}>
          {reported ? 'Reported' : 'Report a problem'}
        </button>
      )}
      {asking && <ProblemDialog open onClose={() => setAsking(false)} onSend={send} />}
    </>
  );
}
