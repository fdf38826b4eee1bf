//! Measures and gates the browser client in real Chromium: `THREADMILL_BINARY=… node e2e/bars/run.mjs [BAR...]`.
//!
//! Every bar starts servers of its own on temporary data. Counters and correctness decide; times are reported, but
//! for the ones that a budget gates at full size. THREADMILL_FULL=1 takes the full sizes.

import { check, conclude } from '../checks.mjs';
import { endServers } from './server.mjs';

const BARS = {
  renders: async () => (await import('./renders.mjs')).rendersBar(),
  tabs: async () => (await import('./tabs.mjs')).tabsBar(),
  times: async () => (await import('./times.mjs')).timesBar(),
  engines: async () => (await import('./engines.mjs')).enginesBar(),
  memory: async () => (await import('./memory.mjs')).memoryBar(),
  transports: async () => (await import('./transports.mjs')).transportsBar(),
  markdown: async () => (await import('./markdown.mjs')).markdownBar(),
  offline: async () => (await import('./offline.mjs')).offlineBar(),
};

/** What takes minutes for figures that are reports: at full size, or if it is asked for. */
const LARGE = ['engines'];
const full = process.env.THREADMILL_FULL === '1';
const wanted = process.argv.slice(2);
for (const [name, bar] of Object.entries(BARS)) {
  const isAsked = wanted.length > 0 ? wanted.includes(name) : full || !LARGE.includes(name);
  if (!isAsked) continue;
  try {
    await bar();
  } catch (error) {
    await check(`${name}: the bar ran to its end`, () => {
      throw error;
    });
  }
}
conclude();
await endServers();
// A check that failed may have left a browser open, which ends with this process.
process.exit();
