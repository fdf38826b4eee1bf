//! Where a message to an open thread is written. Its state is its own: typing renders nothing else.
//!
//! Room `composer`: where a message is typed and sent. It knows a thread by its handle, and no row.

import type { OutboxItem, ThreadHandle } from '@threadmill/client';
import { useRun, useSend } from '@threadmill/react';
import { memo, type RefObject, useEffect } from 'react';
import { useReport } from '../shell/reports';
import { ComposerBox } from './composer-box';
import { useProviders } from './providers';

/** Puts a text into the composer, before what is there. */
export type GiveBack = (text: string) => void;

interface ComposerProps {
  readonly threadId: string;
  readonly handle: ThreadHandle | undefined;
  readonly branch: string | undefined;
  /** Where the composer says how a text comes back. */
  readonly giveBack: RefObject<GiveBack | undefined>;
  /** A message that was not sent yet is taken back. */
  onTakeBack(item: OutboxItem): void;
  onEditLast(): void;
  onSent(): void;
}

/** Sends to an open thread; while an answer is written, stops it. */
export const Composer = memo(function Composer(props: ComposerProps) {
  const { threadId, handle, branch, giveBack, onTakeBack, onEditLast, onSent } = props;
  const report = useReport();
  const { send, sending, draft, setDraft } = useSend(threadId);
  const run = useRun(handle ?? 'skip');
  const { chosen } = useProviders();
  useEffect(() => {
    giveBack.current = text => setDraft(draft === '' ? text : `${text}\n\n${draft}`);
  }, [giveBack, draft, setDraft]);
  const submit = (text: string) => {
    const options = {
      ...(branch === undefined ? {} : { branch }),
      ...(chosen === undefined ? {} : { provider: chosen }),
    };
    send({ text, run: true, ...options }).then(onSent, report);
    onSent();
  };
  const stop = () => {
    if (run.status === 'stopping') return;
    if (run.status === 'submitted' && run.unsent) onTakeBack(run.unsent);
    run.stop().catch(report);
  };
  return (
    <ComposerBox
      text={draft}
      run={run.status}
      sending={sending}
      onText={setDraft}
      onSubmit={submit}
      onStop={stop}
      onEditLast={onEditLast}
    />
  );
});
