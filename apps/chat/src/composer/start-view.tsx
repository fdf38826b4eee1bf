//! The start: no thread is open. A greeting, a few things to try, and the composer.

import { useClient, useDraft } from '@threadmill/react';
import { useState } from 'react';
import { threadPath } from '../shell/address';
import { useReport } from '../shell/reports';
import { navigate } from '../shell/route';
import { cutTo } from '../text/text';
import { ComposerBox } from './composer-box';
import { useProviders } from './providers';

const SUGGESTIONS = [
  'What is AI?',
  'Tell me a joke',
  'Can you write a heap in Python?',
  'What do you know about history?',
] as const;

const LONGEST_TITLE = 60;

/** Where the draft of a thread that is not there yet is kept. */
export const NEW = 'new';

/** A thread is called after its first words, until someone gives it a name. */
function titleOf(message: string): string {
  const line = message.trim().split('\n', 1)[0] ?? '';
  return line.length <= LONGEST_TITLE ? line : `${cutTo(line, LONGEST_TITLE - 1).trimEnd()}…`;
}

export function StartView() {
  const client = useClient();
  const report = useReport();
  const { chosen } = useProviders();
  const { draft, setDraft, handOver } = useDraft(NEW);
  const [sending, setSending] = useState(false);
  const start = async (message: string) => {
    setSending(true);
    try {
      const choice = chosen === undefined ? {} : { provider: chosen };
      const { threadId } = await client.createThread({
        message,
        title: titleOf(message),
        run: true,
        ...choice,
      });
      navigate(threadPath(threadId));
    } finally {
      setSending(false);
    }
  };
  const submit = (text: string) => {
    const started = start(text);
    handOver(started);
    started.catch(report);
  };
  return (
    <main className="thread start" id="main">
      <div className="start-middle">
        <h2>What is on your mind?</h2>
        <ul className="suggestions">
          {SUGGESTIONS.map(suggestion => (
            <li key={suggestion}>
              <button type="button" disabled={sending} onClick={() => start(suggestion).catch(report)}>
                {suggestion}
              </button>
            </li>
          ))}
        </ul>
      </div>
      <ComposerBox
        text={draft}
        run="idle"
        sending={sending}
        onText={setDraft}
        onSubmit={submit}
        onStop={() => {}}
      />
    </main>
  );
}
