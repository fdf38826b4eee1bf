//! The hooks about writing: a message is there at once, the outbox, the run, drafts.

// @vitest-environment happy-dom

import type { Client } from '@threadmill/client';
import { act, useEffect } from 'react';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import {
  type Messages,
  type OutboxControl,
  type RunControl,
  type SendControl,
  useMessages,
  useOutbox,
  useRun,
  useSend,
} from '../src/index.js';
import { type FakeServer, THREAD } from './fake-server.js';
import { connected, frame, settle, show, surround, until } from './surroundings.js';

let server: FakeServer;
let client: Client;

beforeEach(async () => {
  server = surround(10);
  client = await connected();
});

afterEach(() => {
  client.close();
  vi.unstubAllGlobals();
});

interface Shown {
  messages: Messages;
  sender: SendControl;
  outbox: OutboxControl;
  run: RunControl;
}

/** A thread with everything about it. What the hooks returned, commit by commit. */
async function opened() {
  const commits: Shown[] = [];
  function Probe() {
    const messages = useMessages(THREAD);
    const shown = {
      messages,
      sender: useSend(THREAD),
      outbox: useOutbox(THREAD),
      run: useRun(messages.handle ?? 'skip'),
    };
    useEffect(() => void commits.push(shown));
    return null;
  }
  await show(client, <Probe />);
  const now = () => commits.at(-1) as Shown;
  await until(() => now().messages.status === 'ready');
  return { commits, now };
}

it('shows a message with its own id before the server answers', async () => {
  const { now } = await opened();
  server.mood = 'silent';
  let sent: Promise<{ messageId: string }> | undefined;
  act(() => {
    sent = now().sender.send({ text: 'hello', run: true });
  });
  await settle();
  await frame();
  const { messageId } = await (sent as Promise<{ messageId: string }>);
  const row = now().messages.rows.at(-1);
  expect(row).toMatchObject({ id: messageId, parts: [{ text: 'hello' }], rev: 0 });
  expect(row?.outbox?.state).toMatch(/pending|sending/);
  expect(now().outbox.items.map(item => item.messageId)).toEqual([messageId]);
  expect(server.messages.length).toBe(10);
});

it('goes from submitted to live without a moment of idleness, on the row it had', async () => {
  const { commits, now } = await opened();
  const first = commits.length;
  server.mood = 'late';
  act(() => void now().sender.send({ text: 'hello', run: true }));
  await until(() => now().outbox.items.length === 1);
  server.acknowledge();
  await until(() => now().outbox.items.length === 0);
  expect(now().messages.rows.at(-1)).toMatchObject({ rev: 0 });
  expect(now().run.status).toBe('submitted');
  act(() => server.bring());
  await until(() => now().run.status === 'live');
  const statuses = commits.slice(first).map(({ run }) => run.status);
  const changes = statuses.filter((status, at) => status !== statuses[at - 1]);
  expect(changes).toEqual(['idle', 'submitted', 'live']);
  const ids = commits.slice(first).map(({ messages }) => messages.rows[10]?.id);
  expect(new Set(ids.filter(id => id !== undefined)).size).toBe(1);
  expect(now().messages.rows[10]).toMatchObject({ rev: 1 });
  expect(now().messages.rows[10]?.outbox).toBeUndefined();
  await act(() => now().run.stop());
  expect(server.requests.some(request => request.endsWith('/stop'))).toBe(true);
});

it('takes an unsent message back', async () => {
  const { now } = await opened();
  server.mood = 'silent';
  act(() => void now().sender.send({ text: 'on its way', run: true }));
  await until(() => now().outbox.items[0]?.state === 'sending');
  act(() => void now().sender.send({ text: 'behind it', run: true }));
  await until(() => now().outbox.items.length === 2);
  expect(now().run).toMatchObject({ status: 'submitted', unsent: { text: 'behind it' } });
  await act(() => now().run.stop());
  await frame();
  expect(now().outbox.items.map(item => item.text)).toEqual(['on its way']);
  expect(now().messages.rows.length).toBe(11);
});

it('takes a message back that was on its way, once that has failed', async () => {
  const { now } = await opened();
  server.mood = 'late';
  act(() => void now().sender.send({ text: 'on its way', run: true }));
  await until(() => now().outbox.items[0]?.state === 'sending');
  let stopped: Promise<void> | undefined;
  act(() => {
    stopped = now().run.stop();
  });
  await until(() => now().run.status === 'stopping');
  server.lose();
  await until(() => now().outbox.items.length === 0);
  await stopped;
  expect(now().run.status).toBe('idle');
  expect(now().messages.rows.length).toBe(10);
  await settle();
  expect(server.requests.some(request => request.endsWith('/stop'))).toBe(false);
});

it('says why a message failed, and tries it again or gives it up', async () => {
  const { now } = await opened();
  server.mood = 'refuses';
  act(() => void now().sender.send({ text: 'too much', run: true }));
  await until(() => now().outbox.items[0]?.state === 'failed');
  expect(now().messages.rows.at(-1)?.outbox?.error).toMatchObject({ code: 'message_too_large' });
  expect(now().run.status).toBe('idle');
  const [failed] = now().outbox.items;
  server.mood = 'takes';
  act(() => now().outbox.retry(failed?.key ?? ''));
  await until(() => server.messages.length === 12);
  await until(() => now().outbox.items.length === 0);
  server.mood = 'refuses';
  act(() => void now().sender.send({ text: 'too much again' }));
  await until(() => now().outbox.items[0]?.state === 'failed');
  act(() => now().outbox.discard(now().outbox.items[0]?.key ?? ''));
  await until(() => now().outbox.items.length === 0);
  expect(now().messages.rows.some(row => row.outbox)).toBe(false);
});

it("does not render for another thread's writes", async () => {
  let renders = 0;
  function Probe() {
    useOutbox(THREAD);
    renders += 1;
    return null;
  }
  server.mood = 'silent';
  await show(client, <Probe />);
  const before = renders;
  act(() => void client.send('other', { text: 'elsewhere' }));
  await until(() => client.outbox.getSnapshot().length === 1);
  expect(renders).toBe(before);
  act(() => void client.send(THREAD, { text: 'here' }));
  await until(() => client.outbox.getSnapshot().length === 2);
  expect(renders).toBeGreaterThan(before);
});

it('keeps a draft a thread, and empties the one that is sent', async () => {
  let thread = THREAD;
  let sender: SendControl | undefined;
  function Probe() {
    sender = useSend(thread);
    return null;
  }
  const again = async (id: string) => {
    thread = id;
    await show(client, <Probe />);
  };
  await again(THREAD);
  act(() => sender?.setDraft('half a '));
  await again('other');
  expect(sender?.draft).toBe('');
  await again(THREAD);
  expect(sender?.draft).toBe('half a ');
  act(() => sender?.setDraft('half a thought'));
  act(() => void sender?.send({ text: 'half a thought' }));
  expect(sender?.draft).toBe('');
  await until(() => client.drafts.get(THREAD) === '');
});

it('gives the draft back if it could not be sent', async () => {
  let sender: SendControl | undefined;
  function Probe() {
    sender = useSend(THREAD);
    return null;
  }
  await show(client, <Probe />);
  vi.spyOn(client, 'send').mockRejectedValue(new Error('refused'));
  act(() => sender?.setDraft('words'));
  await act(async () => {
    const sent = sender?.send({ text: 'words' });
    await expect(sent).rejects.toThrow('refused');
  });
  expect(sender).toMatchObject({ draft: 'words', sending: false, error: { message: 'refused' } });
});

it('gives a draft that could not be sent back before what was typed meanwhile', async () => {
  let sender: SendControl | undefined;
  function Probe() {
    sender = useSend(THREAD);
    return null;
  }
  await show(client, <Probe />);
  let refuse: ((error: Error) => void) | undefined;
  vi.spyOn(client, 'send').mockReturnValue(
    new Promise((_, reject) => {
      refuse = reject;
    }),
  );
  act(() => sender?.setDraft('words'));
  let sent: Promise<unknown> | undefined;
  act(() => {
    sent = sender?.send({ text: 'words' });
  });
  act(() => sender?.setDraft('more'));
  await act(async () => {
    refuse?.(new Error('refused'));
    await expect(sent).rejects.toThrow('refused');
  });
  expect([sender?.draft, client.drafts.get(THREAD)]).toEqual(['words\n\nmore', 'words\n\nmore']);
});

it('asks for an answer to what is sent, unless it is told not to', async () => {
  const { now } = await opened();
  const send = vi.spyOn(client, 'send');
  for (const run of [undefined, true, false]) {
    await act(() => now().sender.send({ text: 'hello', ...(run === undefined ? {} : { run }) }));
  }
  expect(send.mock.calls.map(([, input]) => input.run)).toEqual([true, true, false]);
  // The client itself, which an app with a backend of its own uses, asks for none.
  const { runId } = await client.send(THREAD, { text: 'alone' });
  expect(runId).toBeUndefined();
});

it('knows of no run while there is no thread yet', async () => {
  const runs: RunControl[] = [];
  function Probe() {
    const { handle } = useMessages(THREAD);
    runs.push(useRun(handle));
    return null;
  }
  await show(client, <Probe />);
  expect([runs[0]?.status, runs[0]?.messageId]).toEqual(['idle', undefined]);
});
