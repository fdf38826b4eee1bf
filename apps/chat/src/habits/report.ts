//! Reports what was counted, once a minute and when the page goes: if the server says that its operator wants to know, and
//! unless the browser says that its reader does not (Do Not Track, Global Privacy Control). Then nothing is counted, and
//! nothing is sent. What gets no answer is lost.
//!
//! One browser in ten does without the prefetcher, so that it can be said what it is good for. Which, is drawn once and
//! kept, as a digit that says nothing else, and only where it is counted.

import { forgetChoice, storeChoice, storedChoice } from '../shell/choices';
import { countVisit, takeCounts } from './counts';

const PATH = '/v1/rum';
/** Milliseconds between two reports. */
const EVERY = 60_000;
const ARM = 'threadmill.arm';
/** Of ten. */
const ARMS = 10;

/** What browsers have beside the standard. */
interface Privacy {
  readonly globalPrivacyControl?: boolean;
}

/** `unknown` until the server has said whether it wants to know. */
let wanted: 'unknown' | 'yes' | 'no' = 'unknown';
let control = false;

/** Whether the reader's browser asks not to be counted. */
export function objects(): boolean {
  return navigator.doNotTrack === '1' || (navigator as Privacy).globalPrivacyControl === true;
}

/** Whether this browser does without the prefetcher, to be compared with. */
export function isControl(): boolean {
  return control;
}

/** The server says whether its operator wants to know. `engine` says which engine runs, when a report goes. */
export function heed(on: boolean, engine: () => 'core' | 'direct'): void {
  if (wanted !== 'unknown') return;
  wanted = on && !objects() ? 'yes' : 'no';
  if (wanted === 'no') {
    forgetCounts();
    return;
  }
  control = drawn() === 0;
  countVisit();
  const send = (leaving: boolean) => {
    const counts = wanted === 'yes' && takeCounts();
    if (!counts) return;
    const body = JSON.stringify({ engine: engine(), samples: [], use: { control, counts } });
    if (leaving) navigator.sendBeacon?.(PATH, new Blob([body], { type: 'application/json' }));
    else void post(body);
  };
  setInterval(send, EVERY, false);
  // Who counts what is left open when the page goes listens on the way down, so it comes first.
  window.addEventListener('pagehide', () => send(true));
  document.addEventListener('visibilitychange', () => document.visibilityState === 'hidden' && send(true));
}

async function post(body: string): Promise<void> {
  const headers = { 'content-type': 'application/json' };
  const answer = await fetch(PATH, { method: 'POST', headers, body, keepalive: true }).catch(() => undefined);
  // It takes none any more: another release, or another setting.
  if (answer && answer.status >= 400 && answer.status < 429) {
    wanted = 'no';
    forgetCounts();
  }
}

/** Whether what is counted may be wanted. */
export function isCounted(): boolean {
  return wanted !== 'no';
}

function forgetCounts(): void {
  takeCounts();
}

function drawn(): number {
  const known = Number(storedChoice(ARM) ?? Number.NaN);
  if (Number.isInteger(known) && known >= 0 && known < ARMS) return known;
  const arm = Math.floor(Math.random() * ARMS);
  storeChoice(ARM, String(arm));
  return arm;
}

/** The user signs out. */
export function forgetArm(): void {
  forgetChoice(ARM);
}
