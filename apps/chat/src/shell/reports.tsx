//! Things that went wrong, said once at the edge of the page, in the server's own words: what happened, then what to do about it.

import { createContext, type ReactNode, useCallback, useContext, useEffect, useState } from 'react';

const SHOWN_FOR = 8_000;

const Report = createContext<(error: unknown) => void>(() => {});

/** The reader gave it up, or left what it was about: no news. */
const EXPECTED = ['discarded', 'released'];

/** Says what went wrong. */
export function useReport(): (error: unknown) => void {
  return useContext(Report);
}

function sentence(text: string): string {
  return /[.!?…]$/.test(text) ? text : `${text}.`;
}

function isExpected(error: unknown): boolean {
  return typeof error === 'object' && error !== null && 'code' in error && EXPECTED.includes(`${error.code}`);
}

/** What happened and what to do about it. */
export function words(error: unknown): string {
  if (typeof error === 'object' && error !== null) {
    const what = 'message' in error && typeof error.message === 'string' ? error.message : '';
    const hint = 'hint' in error && typeof error.hint === 'string' ? error.hint : '';
    if (what !== '' || hint !== '') return [what && sentence(what), hint].filter(Boolean).join(' ');
  }
  return 'Something went wrong.';
}

export function ReportProvider({ children }: { children: ReactNode }) {
  const [said, setSaid] = useState<string>();
  useEffect(() => {
    if (said === undefined) return;
    const timer = setTimeout(() => setSaid(undefined), SHOWN_FOR);
    return () => clearTimeout(timer);
  }, [said]);
  const report = useCallback((error: unknown) => {
    if (!isExpected(error)) setSaid(words(error));
  }, []);
  return (
    <Report value={report}>
      {children}
      <div className="report-place" role="alert">
        {said === undefined ? null : (
          <div className="report">
            <span>{said}</span>
            <button type="button" className="text-button" onClick={() => setSaid(undefined)}>
              Dismiss
            </button>
          </div>
        )}
      </div>
    </Report>
  );
}
