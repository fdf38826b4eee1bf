//! Prints the open thread whole. The command of the page reads the thread first and then prints; the browser's own, which
//! waits for nothing, has it read while everything stands still.
//!
//! Room `print`: a thread on paper. It shares the parts of messages with the page, and no row and no list.

import type { Messages } from '@threadmill/react';
import { useEffect, useRef, useState } from 'react';
import { createPortal, flushSync } from 'react-dom';
import { useReport } from '../shell/reports';
import { offerPrint } from './command';
import { type Print, PrintedThread } from './printed-thread';
import { readThread, readThreadNow, type ThreadToPrint } from './read-thread';

function printOf({ title }: Messages, { messages, leftOut }: ThreadToPrint): Print {
  const notice =
    leftOut === 0 ? undefined : `The thread is long: its first ${leftOut} messages are not printed.`;
  return { title: title || 'Thread', messages, notice };
}

/** Without the server: the messages that the page holds. */
function printOfLoaded({ title, rows, hasOlder, hasNewer }: Messages): Print {
  const cut = hasOlder || hasNewer || rows.some(row => (row.previews?.length ?? 0) > 0);
  const notice = cut
    ? 'The server could not be asked for the whole thread: this is the part that was loaded.'
    : undefined;
  return { title: title || 'Thread', messages: rows.filter(row => row.status !== 'removed'), notice };
}

export function PrintView({ threadId, messages }: { threadId: string; messages: Messages }) {
  const report = useReport();
  const [print, setPrint] = useState<Print>();
  const [reading, setReading] = useState(false);
  const latest = useRef({ messages, print });
  latest.current = { messages, print };
  useEffect(() => {
    let gone = false;
    const before = () => {
      const { messages, print } = latest.current;
      if (print) return;
      const read = readThreadNow(threadId, messages.branch);
      flushSync(() => setPrint(read ? printOf(messages, read) : printOfLoaded(messages)));
    };
    const after = () => setPrint(undefined);
    const command = async () => {
      setReading(true);
      try {
        const read = await readThread(threadId, latest.current.messages.branch);
        if (gone) return;
        flushSync(() => setPrint(printOf(latest.current.messages, read)));
      } catch (error) {
        if (gone) return;
        report(error);
        flushSync(() => setPrint(printOfLoaded(latest.current.messages)));
      } finally {
        if (!gone) flushSync(() => setReading(false));
      }
      window.print();
    };
    const withdraw = offerPrint(() => void command());
    window.addEventListener('beforeprint', before);
    window.addEventListener('afterprint', after);
    return () => {
      gone = true;
      withdraw();
      window.removeEventListener('beforeprint', before);
      window.removeEventListener('afterprint', after);
    };
  }, [threadId, report]);
  return (
    <>
      {reading && (
        <p className="print-status" role="status">
          Reading the thread to print it
        </p>
      )}
      {print && createPortal(<PrintedThread {...print} />, document.body)}
    </>
  );
}
