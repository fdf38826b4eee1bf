//! Prints the open thread. The command of the page, in the menu and on Ctrl or Cmd + P, reads the thread whole and then
//! prints. The browser's own command waits for nothing, and what is asked for while the page stands still has no deadline:
//! it prints what the page holds, and says on the paper and on the page what is missing.
//!
//! Room `print`: a thread on paper. It shares the parts of messages with the page, and no row and no list.

import type { Messages } from '@threadmill/react';
import { useEffect, useRef, useState } from 'react';
import { createPortal, flushSync } from 'react-dom';
import { useReport } from '../shell/reports';
import { offerPrint } from './command';
import { type Print, PrintedThread } from './printed-thread';
import { MOST_MESSAGES, type Rest, readThread, type ThreadToPrint } from './read-thread';

const COUNT = new Intl.NumberFormat('en');

function printOf({ title }: Messages, { messages, before, after }: ThreadToPrint): Print {
  const first = before > 0 && `its first ${COUNT.format(before)} messages`;
  const last = after > 0 && `its last ${COUNT.format(after)} messages`;
  const others = [first, last].filter(Boolean).join(' and ');
  const notice = others === '' ? undefined : `The thread is long: ${others} are not on these sheets.`;
  return { title: title || 'Thread', messages, notice };
}

/** The messages that the page holds; `why` it is a part, if it is one. */
function printOfLoaded({ title, rows, hasOlder, hasNewer }: Messages, why: string): Print {
  const cut = hasOlder || hasNewer || rows.some(row => (row.previews?.length ?? 0) > 0);
  const messages = rows.filter(row => row.status !== 'removed');
  return { title: title || 'Thread', messages, notice: cut ? why : undefined };
}

const UNREAD = 'The server could not be asked for the whole thread: this is the part that was loaded.';
const OWN = `This is the part of the thread that was loaded: “Print thread” in the menu of the page prints all of it, ${COUNT.format(MOST_MESSAGES)} messages at a time.`;
/** Said on the page, to whoever may not look at the paper. */
const PART = new Error('Only a part of the thread was printed. “Print thread” in the menu prints all of it.');

export function PrintView({ threadId, messages }: { threadId: string; messages: Messages }) {
  const report = useReport();
  const [print, setPrint] = useState<Print>();
  const [reading, setReading] = useState(false);
  const [rest, setRest] = useState<Rest>();
  const printRest = useRef<(rest: Rest) => void>(() => {});
  const latest = useRef({ messages, print });
  latest.current = { messages, print };
  useEffect(() => {
    let gone = false;
    let part = false;
    const before = () => {
      const { messages, print } = latest.current;
      if (print) return;
      const loaded = printOfLoaded(messages, OWN);
      part = loaded.notice !== undefined;
      flushSync(() => setPrint(loaded));
    };
    const after = () => {
      setPrint(undefined);
      if (part) report(PART);
      part = false;
    };
    const command = async (from?: Rest) => {
      setReading(true);
      setRest(undefined);
      let left: Rest | undefined;
      try {
        const read = await readThread(threadId, latest.current.messages.branch, from);
        if (gone) return;
        left = read.rest;
        flushSync(() => setPrint(printOf(latest.current.messages, read)));
      } catch (error) {
        if (gone) return;
        report(error);
        // What is loaded is not what was to be printed: the offer stands.
        if (from) return setRest(from);
        flushSync(() => setPrint(printOfLoaded(latest.current.messages, UNREAD)));
      } finally {
        if (!gone) flushSync(() => setReading(false));
      }
      window.print();
      if (!gone) setRest(left);
    };
    printRest.current = rest => void command(rest);
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
      {rest && (
        <p className="print-status" role="status">
          <span>The first {COUNT.format(rest.depth)} messages are not on these sheets.</span>
          <button type="button" className="text-button" onClick={() => printRest.current(rest)}>
            Print {rest.depth > MOST_MESSAGES ? `the ${COUNT.format(MOST_MESSAGES)} before` : 'them'}
          </button>
          <button type="button" className="text-button" onClick={() => setRest(undefined)}>
            Close
          </button>
        </p>
      )}
      {print && createPortal(<PrintedThread {...print} />, document.body)}
    </>
  );
}
