//! The public suite of the protocol, against the address that the environment names.

import { runConformanceTests } from '@durable-streams/server-conformance-tests';

const baseUrl = process.env.STREAMS_URL;
if (!baseUrl) throw new Error('STREAMS_URL is not set: run scripts/durable-streams/run.mjs');

runConformanceTests({
  baseUrl,
  longPollTimeoutMs: 1500,
  subscriptions: true,
});
