//! The history for `useChat`: what a window cuts short is read in full, some at a time, and stays in its place.

import { afterEach, describe, expect, it, vi } from 'vitest';
import { loadMessages } from '../src/ai-sdk/history.js';
import { Access, bindAccess } from '../src/transport/access.js';
import type { Client } from '../src/words/types.js';
import { settle } from './browser.js';

afterEach(() => vi.unstubAllGlobals());

/** A thread of so many long messages, and one whose part has a field of the name that marks them. */
function server(count: number) {
  let [now, most, refused] = [0, 0, -1];
  const asked: string[] = [];
  const cut = (depth: number) => ({
    ...{ id: `m${depth}`, role: 'user', status: 'complete', depth },
    parts: [{ type: 'text', text: 'a', preview: { bytes: 40_000 } }],
  });
  const own = { id: 'own', role: 'user', status: 'complete', parts: [{ type: 'data-x', preview: 'mine' }] };
  vi.stubGlobal('fetch', async (url: string) => {
    const { pathname } = new URL(url);
    if (pathname.endsWith('/messages')) {
      const messages = [...Array.from({ length: count }, (_, depth) => cut(depth)), own];
      return Response.json({ branch: 'b', firstDepth: 0, hasOlder: false, messages });
    }
    const id = pathname.split('/').at(-1) ?? '';
    asked.push(id);
    most = Math.max(most, ++now);
    await settle(1 + (asked.length % 5));
    now -= 1;
    if (id === `m${refused}`)
      return Response.json({ status: 404, code: 'message_not_found' }, { status: 404 });
    return Response.json({ message: { parts: [{ type: 'text', text: `all of ${id}` }] } });
  });
  const client = {} as Client;
  bindAccess(client, new Access({ url: 'http://server.test' }), new AbortController().signal);
  const refuse = (depth: number) => {
    refused = depth;
  };
  return { client, asked, most: () => most, refuse };
}

describe('loadMessages', () => {
  it('reads long messages six at a time, each in its place, and nothing that is not cut', async () => {
    const { client, asked, most } = server(60);
    const messages = await loadMessages(client, 't');
    expect(messages.map(({ id }) => id)).toEqual([...Array.from({ length: 60 }, (_, n) => `m${n}`), 'own']);
    expect(messages.slice(0, 60).map(({ parts }) => (parts[0] as { text?: string }).text)).toEqual(
      Array.from({ length: 60 }, (_, n) => `all of m${n}`),
    );
    expect(messages.at(-1)?.parts).toEqual([{ type: 'data-x', preview: 'mine' }]);
    expect([asked.length, most()]).toEqual([60, 6]);
  });

  it('asks for no more when one of them cannot be had', async () => {
    const { client, asked, refuse } = server(60);
    refuse(3);
    await expect(loadMessages(client, 't')).rejects.toMatchObject({ code: 'message_not_found' });
    await settle(50);
    expect(asked.length).toBeLessThan(15);
  });
});
