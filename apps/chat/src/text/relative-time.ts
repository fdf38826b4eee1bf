//! How long ago, in few letters.

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const WEEK = 7 * DAY;

/** `now`, `5 min`, `3 h`, `2 d`, then the date; both times in milliseconds. */
export function relativeTime(then: number, now: number): string {
  // No calendar has it.
  if (Number.isNaN(new Date(then).getTime())) return '';
  const ago = now - then;
  if (ago < MINUTE) return 'now';
  if (ago < HOUR) return `${Math.floor(ago / MINUTE)} min`;
  if (ago < DAY) return `${Math.floor(ago / HOUR)} h`;
  if (ago < WEEK) return `${Math.floor(ago / DAY)} d`;
  const sameYear = new Date(then).getFullYear() === new Date(now).getFullYear();
  return dates(sameYear ? undefined : 'numeric').format(then);
}

const FORMATS = new Map<string | undefined, Intl.DateTimeFormat>();

/** Made once each: that takes milliseconds. */
function dates(year: 'numeric' | undefined): Intl.DateTimeFormat {
  const known =
    FORMATS.get(year) ?? new Intl.DateTimeFormat(undefined, { month: 'short', day: 'numeric', year });
  FORMATS.set(year, known);
  return known;
}

/** A time for machines; nothing of one that no calendar has. */
export function isoTime(ms: number): string | undefined {
  const time = new Date(ms);
  return Number.isNaN(time.getTime()) ? undefined : time.toISOString();
}
