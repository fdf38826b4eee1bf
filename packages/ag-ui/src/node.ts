//! The endpoint as a listener of `node:http`, and so of Express.

import type { IncomingMessage, ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { ReadableStream as NodeReadableStream } from 'node:stream/web';

type Handler = (request: Request) => Promise<Response>;

/**
 * @example
 * createServer(nodeListener(createAgUiHandler({ url }))).listen(8000);
 * app.all('/agui', nodeListener(createAgUiHandler({ url }))); // Express, before anything that parses bodies
 */
export function nodeListener(handler: Handler) {
  return async (incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> => {
    const leaving = new AbortController();
    outgoing.once('close', () => leaving.abort());
    const response = await handler(requestOf(incoming, leaving.signal));
    outgoing.writeHead(response.status, Object.fromEntries(response.headers));
    if (!response.body) return void outgoing.end();
    outgoing.flushHeaders();
    // Who leaves ends the pipe, and so the reading of what it came from.
    await pipeline(Readable.fromWeb(response.body as NodeReadableStream), outgoing).catch(() => {});
  };
}

function requestOf(incoming: IncomingMessage, signal: AbortSignal): Request {
  const headers = new Headers();
  for (const [name, value] of Object.entries(incoming.headers))
    for (const one of [value ?? []].flat()) headers.append(name, one);
  const { method = 'GET' } = incoming;
  const url = new URL(incoming.url ?? '/', 'http://localhost');
  if (method === 'GET' || method === 'HEAD') return new Request(url, { method, headers, signal });
  const body = Readable.toWeb(incoming) as unknown as ReadableStream<Uint8Array>;
  const init: RequestInit & { duplex: 'half' } = { method, headers, signal, body, duplex: 'half' };
  return new Request(url, init);
}
