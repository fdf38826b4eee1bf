//! Numbers, spans and times as the page says them: few letters, the same number of them from one look to the next where that
//! can be. What was not measured is a dash.

const DASH = '–';

const whole = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });
const clockTime = new Intl.DateTimeFormat('en-GB', {
  hour: '2-digit',
  minute: '2-digit',
  second: '2-digit',
});
const dayTime = new Intl.DateTimeFormat('en-GB', {
  day: 'numeric',
  month: 'short',
  hour: '2-digit',
  minute: '2-digit',
});

/** What a number counts. */
export type Unit = 'count' | 'rate' | 'share' | 'seconds' | 'bytes' | 'flag';

/** A number with its unit. */
export function amount(value: number | null | undefined, unit: Unit): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return DASH;
  switch (unit) {
    case 'count':
      return count(value);
    case 'rate':
      return `${figures(value)}/s`;
    case 'share':
      return `${figures(value * 100)} %`;
    case 'seconds':
      return span(value * 1_000);
    case 'bytes':
      return bytes(value);
    case 'flag':
      return value === 0 ? 'no' : 'yes';
  }
}

/** Money that comes in millionths of a dollar. */
export function dollars(millionths: number | null | undefined): string {
  if (millionths === null || millionths === undefined || !Number.isFinite(millionths)) return DASH;
  return `$${figures(millionths / 1e6)}`;
}

/** The unit of a concern's value, from its word. */
export function unitOf(word: string): Unit {
  return word === 'share' || word === 'seconds' || word === 'bytes' || word === 'flag' ? word : 'count';
}

/** Three figures: 0.25, 3.1, 42, 1,204. */
function figures(value: number): string {
  const size = Math.abs(value);
  if (size >= 100 || size === 0) return whole.format(value);
  if (size >= 10) return value.toFixed(1);
  // What is there is never shown as nothing.
  return size >= 0.005 ? value.toFixed(2) : value > 0 ? '<0.01' : '>-0.01';
}

const exact = new Intl.NumberFormat('en', { maximumSignificantDigits: 3 });

/** A number to be compared with another, whatever its size: three figures of it. */
export function compared(value: number | null): string {
  return value === null ? DASH : exact.format(value);
}

function count(value: number): string {
  return Number.isInteger(value) ? whole.format(value) : figures(value);
}

const SIZES = ['B', 'kB', 'MB', 'GB', 'TB'];

function bytes(value: number): string {
  let size = value;
  let at = 0;
  while (Math.abs(size) >= 999.5 && at < SIZES.length - 1) {
    size /= 1_000;
    at += 1;
  }
  return `${at === 0 ? whole.format(size) : figures(size)} ${SIZES[at]}`;
}

/** A span of milliseconds: `0.25 ms`, `310 ms`, `4.1 s`, `12 min`, `3 h 20 min`, `5 d 3 h`. */
export function span(ms: number | null | undefined): string {
  if (ms === null || ms === undefined || !Number.isFinite(ms)) return DASH;
  const size = Math.abs(ms);
  if (size < 999.5) return `${figures(ms)} ms`;
  if (size < 59_500) return `${(ms / 1_000).toFixed(1)} s`;
  const minutes = Math.round(ms / 60_000);
  if (Math.abs(minutes) < 60) return `${minutes} min`;
  const hours = Math.trunc(minutes / 60);
  if (Math.abs(hours) < 24) return two(hours, 'h', Math.abs(minutes % 60), 'min');
  return two(Math.trunc(hours / 24), 'd', Math.abs(hours % 24), 'h');
}

function two(first: number, firstUnit: string, second: number, secondUnit: string): string {
  return second === 0 ? `${first} ${firstUnit}` : `${first} ${firstUnit} ${second} ${secondUnit}`;
}

/** Two spans of milliseconds, their unit once where it is the same: `310 · 900 ms`. */
export function spans(one: number | null, other: number | null): string {
  if (one === null && other === null) return DASH;
  const [first, second] = [span(one), span(other)];
  const [value, unit] = first.split(' ');
  return unit !== undefined && first.split(' ').length === 2 && second.endsWith(` ${unit}`)
    ? `${value} · ${second}`
    : `${first} · ${second}`;
}

/** A time of day by this browser's clock. */
export function clock(at: number | null | undefined): string {
  return at === null || at === undefined ? DASH : clockTime.format(at);
}

const day = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'short', timeZone: 'UTC' });

/** A day, by its beginning in UTC. */
export function dayOf(at: number): string {
  return day.format(at);
}

/** A time, with its day where it is not today. */
export function when(at: number | null | undefined, now: number): string {
  if (at === null || at === undefined) return DASH;
  return new Date(at).toDateString() === new Date(now).toDateString()
    ? clockTime.format(at)
    : dayTime.format(at);
}

/** The end of an id, which tells it from others: ids begin with the time. */
export function short(id: string): string {
  return id.length <= 13 ? id : `…${id.slice(-8)}`;
}

/** `run_ended` or `run-ended` as words. */
export function spoken(word: string): string {
  return word.replace(/[-_]/g, ' ');
}

/** `1 thing`, `2 things`. */
export function plural(count: number, one: string): string {
  return `${whole.format(count)} ${count === 1 ? one : `${one}s`}`;
}
