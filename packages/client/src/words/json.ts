//! What a server or a browser's storage has said, before it is believed.

/** Levels of nesting that are read: the server takes no more, and functions that show or compare a value are recursive. */
const DEPTH = 128;
/**
 * Values of a record that are looked at. What a browser stores may hold one object in many places, and thus be more than
 * anybody could walk through; fifty messages of the most parts are some hundred thousand.
 */
const VALUES = 1_000_000;
/** See ECMAScript's time values. */
const LATEST = 8.64e15;

export type Fields = Readonly<Record<string, unknown>>;

/** An escape in JSON; those of this group are half a letter of two, which the sender cut through. */
const ESCAPE = /\\(?:(ud[89a-f]..)|.)/g;

/** As a request says it. No server that reads Unicode takes half a letter: it becomes the sign for what is none. */
export function jsonOf(value: unknown): string | undefined {
  const json = JSON.stringify(value) as string | undefined;
  if (!json?.includes('\\ud')) return json;
  return json.replace(ESCAPE, (said, half?: string) => (half ? '\ufffd' : said));
}

export function isObject(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A field of an object, its own and not what its prototype has. */
export function fieldOf(object: Fields, name: string): unknown {
  return Object.hasOwn(object, name) ? object[name] : undefined;
}

export function isText(value: unknown): value is string {
  return typeof value === 'string';
}

/** A number that counts something. */
export function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

/** Milliseconds since 1970 that a `Date` can hold: any other number makes one that throws when it is shown. */
export function isTime(value: unknown): value is number {
  return typeof value === 'number' && Math.abs(value) <= LATEST;
}

/** Whether a value is plain data of bounded depth and size: what JSON can say, without a loop. */
export function isPlain(value: unknown): boolean {
  const left: [unknown, number][] = [[value, 0]];
  let count = 0;
  for (let next = left.pop(); next; next = left.pop()) {
    const [item, depth] = next;
    count += 1;
    if (depth > DEPTH || count > VALUES || (typeof item !== 'object' && !isLeaf(item))) return false;
    if (typeof item !== 'object' || item === null) continue;
    const prototype = Object.getPrototypeOf(item);
    if (!Array.isArray(item) && prototype !== Object.prototype && prototype !== null) return false;
    for (const inner of Object.values(item)) left.push([inner, depth + 1]);
  }
  return true;
}

function isLeaf(value: unknown): boolean {
  return value === undefined || ['string', 'number', 'boolean'].includes(typeof value);
}
