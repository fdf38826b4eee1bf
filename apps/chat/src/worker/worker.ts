//! The service worker: it starts the page without a network. What it keeps is the page itself, by hashed name, and one
//! document; never an answer of the API, which is private and not to be stored.
//!
//! The document comes from the network whenever that answers in time, so nobody is held at an old version, and a new worker
//! takes over at once: it decides nothing that a page of the version before could disagree with. The files of the
//! version before stay, for pages that still run and load a part later.
//!
//! Room `worker`: the service worker. It shares no code with the page: what both imported would be a third file to keep
//! in step.

/** Put in by the build: every file of the page, and their common hash. */
declare const __SHELL_FILES__: readonly string[];
declare const __SHELL_VERSION__: string;

const worker = self as unknown as ServiceWorkerGlobalScope;

/** Milliseconds that the network has to bring the document before the kept one is shown. */
const PATIENCE = 3_000;
const PREFIX = 'threadmill-shell-';
const CACHE = PREFIX + __SHELL_VERSION__;
const FILES: ReadonlySet<string> = new Set(__SHELL_FILES__);
/** Where the document is kept; every address of the page has the same. */
const DOCUMENT = '/';

/** Chromium's way to send requests past the worker, which need not start for them. */
interface Routed {
  addRoutes?(rules: readonly object[]): Promise<void>;
}

worker.addEventListener('install', event => {
  event.waitUntil(install(event as ExtendableEvent & Routed));
});

worker.addEventListener('activate', event => {
  event.waitUntil(prune().then(() => worker.clients.claim()));
});

worker.addEventListener('fetch', event => {
  const { request } = event;
  const url = new URL(request.url);
  if (request.method !== 'GET' || url.origin !== worker.location.origin) return;
  if (request.mode === 'navigate') {
    if (isPage(url.pathname)) event.respondWith(fresh(request));
  } else if (FILES.has(url.pathname) || url.pathname.startsWith('/assets/')) {
    event.respondWith(kept(request));
  }
});

/** The addresses that the page itself answers to. */
function isPage(path: string): boolean {
  return path === '/' || path.startsWith('/t/');
}

/**
 * Whoever answers first: with a network nothing waits for the worker to start. Not the cache by itself, which tells a
 * file from the same one with an Origin.
 */
const RACE = 'race-network-and-fetch-handler';

async function install(event: Routed): Promise<void> {
  const cache = await caches.open(CACHE);
  const [document] = await Promise.all([fetch(DOCUMENT, { cache: 'no-cache' }), cache.addAll([...FILES])]);
  // While a deployment is under way the document may be of another version: the browser tries again later.
  const names = document.ok ? ((await document.clone().text()).match(/\/assets\/[^"'\s>]+/g) ?? []) : [];
  if (names.length === 0 || !names.every(name => FILES.has(name))) {
    await caches.delete(CACHE);
    throw new Error('The document is not the one of these files.');
  }
  await cache.put(DOCUMENT, document);
  // A browser without it, or with other rules, goes through the worker.
  await event
    .addRoutes?.([
      { condition: { urlPattern: '/v1/*' }, source: 'network' },
      { condition: { urlPattern: '/assets/*' }, source: RACE },
      { condition: { urlPattern: '/', requestMode: 'navigate' }, source: RACE },
      { condition: { urlPattern: '/t/*', requestMode: 'navigate' }, source: RACE },
    ])
    .catch(() => {});
  await worker.skipWaiting();
}

/** Keeps this version and the one before it. */
async function prune(): Promise<void> {
  // In the order of their making.
  const all = (await caches.keys()).filter(name => name.startsWith(PREFIX) && name !== CACHE);
  await Promise.all(all.slice(0, -1).map(name => caches.delete(name)));
}

/** The document from the network if it comes in time, else the kept one. */
async function fresh(request: Request): Promise<Response> {
  const network = fetch(request);
  const answer = await Promise.race([network.catch(() => undefined), late()]);
  // What stands before a server that is away answers in its place: the kept page says more.
  if (answer && answer.status !== 502 && answer.status !== 503 && answer.status !== 504) return answer;
  const document = await (await caches.open(CACHE)).match(DOCUMENT);
  return document ?? answer ?? network;
}

function late(): Promise<undefined> {
  return new Promise(done => setTimeout(done, PATIENCE));
}

/** A file of this version or the one before; its name says what is in it. */
async function kept(request: Request): Promise<Response> {
  return (await caches.match(request, { ignoreVary: true })) ?? fetch(request);
}
