//! What the core is told and asked, by number: those of `crates/wasm/src/call.rs`. What comes with a call is a number,
//! texts, and up to two numbers more. Each is a constant of its own, so that bundlers put the number in its place.

/** Connect; this tab is on its own. */
export const start = 0;
/** Connect; there may be other tabs. */
export const join = 1;
export const stop = 2;
/** The network or the reader is back. */
export const wake = 3;
export const hidden = 4;
export const shown = 5;
/** The connection is open, or a request is about to be made. */
export const opened = 6;
export const closed = 7;
export const tick = 8;
/** The view's next page of either side. */
export const older = 9;
export const newer = 10;
/** The view's reader is at the live edge, or elsewhere. */
export const follow = 11;
export const unfollow = 12;
/** Nobody looks at the view for now; somebody does again; it is over. */
export const rest = 13;
export const resume = 14;
export const release = 15;
/** The list's next page; it is over. */
export const more = 16;
export const releaseList = 17;
/** The write is tried again, or given up. */
export const retry = 18;
export const discard = 19;
/** This tab holds the lock: the last epoch that the browser remembers. */
export const lead = 20;
/** What another tab said. */
export const heard = 21;
/** A frame of the server's. */
export const received = 22;
export const token = 23;
/** View; thread, branch or nothing, anchor; the anchor's number. False if an id is none; so are the next two. */
export const open = 24;
/** View; anchor; its number. */
export const jump = 25;
/** View; branch. */
export const switchTo = 26;
/** List; part of the title or nothing. */
export const openList = 27;
/** Request; the body of the answer to a window fetch, or of the refusal. */
export const page = 28;
export const pageFailed = 29;
/** Position in the summary log; id, title, snippet; flags (1 running, 2 archived, 4 deleted), time: an entry of the page under way. */
export const entry = 30;
/** Request; where the next page begins or nothing; position in the summary log: the entries so far are the answer to a list fetch. */
export const listPage = 31;
export const listFailed = 32;
/** Write; thread, run; flags: 1 it stops the run, else starts it; 2 it may have reached the server. */
export const write = 33;
/** Write; code; status (0: no answer came), when to try again (negative: not said). */
export const written = 34;
/** Bytes of views to be held at most. */
export const room = 35;
/** Views held, and their bytes: the answers. */
export const views = 36;
export const bytes = 37;
/** Another tab has taken the lock that this one held. */
export const robbed = 38;
