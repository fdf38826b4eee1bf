//! Connections without a socket: all frames in one request, the answer as a stream of events or as soon as there
//! is something. Loaded when sockets do not get through.

import type { Access } from './access.js';
import type { LinkEvents, Requests } from './link.js';

const SEQUENCE = 'application/cbor-seq';

/** Requests for a connection. `events`: one that is answered as long as it stands; `poll`: many. */
export function requests(transport: 'events' | 'poll', access: Access, events: LinkEvents): Requests {
  // The first answer says whether this gets through at all: it is not waited for.
  let path = transport === 'poll' ? '/sync?wait=0' : '/sync';
  return {
    run: async (frames, signal) => {
      const accept = transport === 'events' ? 'text/event-stream' : SEQUENCE;
      const response = await access.fetch(path, {
        method: 'POST',
        headers: { 'content-type': SEQUENCE, accept },
        body: new Blob([...frames]),
        signal,
        cache: 'no-store',
      });
      path = '/sync';
      if (!response.ok || !response.body) return { goesOn: false };
      if (transport === 'events') {
        await readEvents(response.body, events);
        return { goesOn: false };
      }
      for (const frame of split(new Uint8Array(await response.arrayBuffer()))) {
        if (!signal.aborted) events.received(frame);
      }
      return { goesOn: true };
    },
  };
}

async function readEvents(body: ReadableStream<Uint8Array>, events: LinkEvents): Promise<void> {
  const reader = body.pipeThrough(new TextDecoderStream() as ReadableWritablePair<string, Uint8Array>);
  let line = '';
  // Not `for await`: Safari's streams are no async iterables.
  const lines = reader.getReader();
  for (;;) {
    const { value, done } = await lines.read();
    if (done) return;
    line += value;
    for (let end = line.indexOf('\n'); end >= 0; end = line.indexOf('\n')) {
      const text = line.slice(0, end).trimEnd();
      line = line.slice(end + 1);
      if (text.startsWith('data:')) events.received(fromBase64(text.slice(5).trim()));
    }
  }
}

function fromBase64(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(atob(text), letter => letter.charCodeAt(0));
}

/** The items of a CBOR sequence (RFC 8742) of definite length, each as its bytes. */
export function split(bytes: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer>[] {
  const items: Uint8Array<ArrayBuffer>[] = [];
  for (let at = 0; at < bytes.length; ) {
    const end = skip(bytes, at);
    items.push(bytes.slice(at, end));
    at = end;
  }
  return items;
}

/** Where the item that begins at `at` ends. */
function skip(bytes: Uint8Array, at: number): number {
  const first = bytes[at] ?? 0;
  const [major, info] = [first >> 5, first & 31];
  let next = at + 1;
  let argument = info;
  if (info > 27) throw new Error('an item without a length');
  if (info > 23) {
    argument = 0;
    for (let left = 1 << (info - 24); left > 0; left--) argument = argument * 256 + (bytes[next++] ?? 0);
  }
  if (major === 2 || major === 3) next += argument;
  const inner = major === 4 ? argument : major === 5 ? 2 * argument : major === 6 ? 1 : 0;
  for (let left = inner; left > 0; left--) next = skip(bytes, next);
  if (next > bytes.length) throw new Error('an item that is cut off');
  return next;
}
