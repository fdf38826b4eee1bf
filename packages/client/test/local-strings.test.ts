//! A page whose strings cannot be kept: it works from memory, and says so.

import { afterEach, describe, expect, it, vi } from 'vitest';
import { FakeServer, THREAD } from '../../react/test/fake-server.js';
import { createClient } from '../src/engine.js';
import { StoredDrafts } from '../src/storage/drafts.js';
import { localStrings } from '../src/storage/local-strings.js';
import { FakeStrings, settle, surround, wasm } from './browser.js';

afterEach(() => vi.unstubAllGlobals());

function denied(): never {
  throw new DOMException('The operation is insecure.', 'SecurityError');
}

/** Ways in which a browser has no strings to keep. */
const WITHOUT: Record<string, object> = {
  'the getter throws': Object.defineProperty({}, 'localStorage', { get: denied }),
  'it is null': { localStorage: null },
  'it is undefined': {},
  'every call throws': {
    localStorage: { getItem: denied, setItem: denied, removeItem: denied, key: denied, length: 1 },
  },
};

describe.each(Object.entries(WITHOUT))('where %s', (_, window) => {
  it('strings are kept in memory, and that is said', () => {
    vi.stubGlobal('window', window);
    let said = 0;
    const kept = localStrings('auto', () => said++);
    kept.set('a', '1');
    kept.set('b', '2');
    expect([kept.get('a'), kept.keys('').sort(), kept.state, said]).toEqual(['1', ['a', 'b'], 'degraded', 1]);
    kept.remove('a');
    expect([kept.get('a'), kept.keys('')]).toEqual([undefined, ['b']]);
    const drafts = new StoredDrafts('ann', kept);
    drafts.set('t', 'half a thought');
    expect(drafts.get('t')).toBe('half a thought');
    drafts.clear();
    expect(drafts.get('t')).toBe('');
  });

  it('a client connects, sends and says that nothing outlives the page', async () => {
    surround();
    vi.stubGlobal('window', window);
    const server = new FakeServer(1);
    server.install();
    const client = await createClient({ url: 'http://server.test', wasm });
    await client.send(THREAD, { text: 'all the same' });
    await vi.waitFor(() => expect(server.messages.at(-1)?.text).toBe('all the same'), 3_000);
    await vi.waitFor(() => expect(client.status.getSnapshot().storage).toBe('degraded'), 3_000);
    client.close();
    await settle();
  });
});

describe('a quota that is used up', () => {
  it('keeps what does not fit in memory, and says so once', () => {
    const strings = new FakeStrings();
    vi.stubGlobal('window', { localStorage: strings });
    let said = 0;
    const kept = localStrings('auto', () => said++);
    kept.set('small', '1');
    const set = vi.spyOn(strings, 'setItem').mockImplementation(() => {
      throw new DOMException('full', 'QuotaExceededError');
    });
    kept.set('big', 'b');
    kept.set('bigger', 'b');
    expect([kept.get('small'), kept.get('big'), kept.state, said]).toEqual(['1', 'b', 'degraded', 1]);
    set.mockRestore();
    kept.set('big', 'fits');
    expect(strings.getItem('big')).toBe('fits');
  });
});
