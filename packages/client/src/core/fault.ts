//! What a server says of a fault of its own, in answer to a read. Loaded when there is one; what the start needs, too, is handed
//! over, or it would be a file more to load then.

import type { Problem } from '../words/problem.js';

/** How JSON begins that says anything. */
const BRACE = 0x7b;

/** The problem in an answer's body: an object in JSON, or CBOR's list of code, detail, wait and hint. */
export function faultOf(status: number, body: Uint8Array, decode: (bytes: Uint8Array) => unknown): Problem {
  const known: Problem = { code: 'internal', detail: `HTTP ${status}`, status };
  try {
    if (body[0] === BRACE) return { ...known, ...JSON.parse(new TextDecoder().decode(body)), status };
    const [, detail, , hint] = decode(body) as unknown[];
    return typeof detail === 'string' ? { ...known, detail, hint: `${hint ?? ''}` } : known;
  } catch {
    // A proxy's page, or nothing.
    return known;
  }
}
