//! The official OpenFeature provider for browsers judges the server's OFREP: it evaluates, hears of a change, and sees a kill.

import { OFREPWebProvider } from '@openfeature/ofrep-web-provider';
import { OpenFeature, type Provider, ProviderEvents } from '@openfeature/web-sdk';
import { EventSource } from 'eventsource';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { BINARY, needsServer, type Server, startServer } from './server.js';

const FLAG = 'scalable-sync';

describe.skipIf(!BINARY)(`OpenFeature and a server${needsServer}`, () => {
  let server: Server;

  beforeAll(async () => {
    // What a browser has, and Node does not yet.
    vi.stubGlobal('EventSource', EventSource);
    server = await startServer('--ops-write');
  });

  afterAll(async () => {
    await OpenFeature.close();
    await server?.stop();
    vi.unstubAllGlobals();
  });

  const move = async (step: string, more: object = {}) => {
    const answer = await fetch(`${server.url}/ops/api/rollouts/${FLAG}/${step}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ who: 'ada', why: 'a trial', ...more }),
    });
    expect(answer.status).toBe(200);
  };

  const use = async (user: string, targetingKey: string, domain: string) => {
    // Its types are not made for exactOptionalPropertyTypes.
    const provider = new OFREPWebProvider({
      baseUrl: server.url,
      headers: [['x-threadmill-user', user]],
    });
    await OpenFeature.setContext(domain, { targetingKey });
    await OpenFeature.setProviderAndWait(domain, provider as unknown as Provider);
    return OpenFeature.getClient(domain);
  };

  it('evaluates for the caller, and says who decided', async () => {
    const client = await use('ada', 'ada', 'plain');
    const details = client.getBooleanDetails(FLAG, false);
    expect(details).toMatchObject({ value: true, variant: 'on', reason: 'STATIC' });
    expect(details.flagMetadata).toMatchObject({ decidedBy: 'default' });
    expect(client.getBooleanDetails('nothing', true)).toMatchObject({
      value: true,
      errorCode: 'FLAG_NOT_FOUND',
    });
  });

  it('is told of a rollout and of a kill by the event stream', async () => {
    const client = await use('ada', 'ada', 'told');
    const changed = () =>
      new Promise<void>(resolve => {
        const hear = () => {
          client.removeHandler(ProviderEvents.ConfigurationChanged, hear);
          resolve();
        };
        client.addHandler(ProviderEvents.ConfigurationChanged, hear);
      });
    // The stream may open only after that: its address says which flags the client has.
    expect(client.getBooleanValue(FLAG, false)).toBe(true);
    let heard = changed();
    await move('start', { internal: ['ada'], stages: ['internal:1h', '100%:1h'] });
    await heard;
    const details = client.getBooleanDetails(FLAG, false);
    expect(details).toMatchObject({ value: true, reason: 'TARGETING_MATCH' });
    expect(details.flagMetadata).toMatchObject({ decidedBy: 'rollout', stage: 'internal' });
    heard = changed();
    await move('kill');
    await heard;
    expect(client.getBooleanDetails(FLAG, true)).toMatchObject({ value: false, reason: 'DISABLED' });
    await move('end');
  }, 20_000);

  it('is refused what another user has', async () => {
    await expect(use('ada', 'bob', 'other')).rejects.toThrow();
  });
});
