//! Why nothing was sent, in a quiet line over the composer. An outbox takes whatever is sent: only the direct engine,
//! which has none, turns messages away.

/** What a send was turned away for. */
export type Refusal = 'connection' | 'answer' | 'sending';

interface ComposerNoteProps {
  readonly answering: boolean;
  readonly connected: boolean;
  readonly refused: Refusal | undefined;
}

function words({ answering, connected, refused }: ComposerNoteProps): string {
  if (!connected && refused !== undefined) return 'Not sent: there is no connection. Your text is kept.';
  if (!connected && answering)
    return 'No connection. The answer goes on at the server and shows here afterwards.';
  if (refused === 'answer') return 'Not sent: an answer is being written. Wait for it, or stop it with Esc.';
  if (refused === 'sending') return 'Not sent: the message before is still on its way.';
  return '';
}

/** Always on the page, so that screen readers hear what appears in it. */
export function ComposerNote(props: ComposerNoteProps) {
  return (
    <p className="composer-note" role="status" aria-live="polite">
      {words(props)}
    </p>
  );
}
