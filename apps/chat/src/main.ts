//! Starts the page. The client and the thread that the address names are under way before React is there: that is
//! most of the script, and the network need not wait for it.

import './styles/base.css';
import './styles/layout.css';
import './styles/messages.css';
import './styles/markdown.css';
import './styles/outbox.css';
import './styles/print.css';
import { type Client, type ClientOptions, type EngineStore, followEngine } from '@threadmill/client';
import wasmUrl from '@threadmill/client/core.wasm?url';
import { parseRoute } from './shell/address';
import { showFailure } from './shell/failed-start';
import { openingOf } from './shell/places';
import { applyTheme, storedTheme } from './shell/theme-choice';

/** `?engine=direct` asks for the plain engine, to measure the other one against. */
function clientOptions(): ClientOptions {
  if (new URLSearchParams(location.search).get('engine') === 'direct') return { engine: 'direct' };
  // Lockdown modes have no WebAssembly: the client finds that out, and takes the plain engine.
  if (typeof globalThis.WebAssembly?.compileStreaming !== 'function') return { wasm: wasmUrl };
  // Under way before anybody asks: the flag that decides about the engine comes meanwhile.
  const wasm = WebAssembly.compileStreaming(answerOf(wasmUrl));
  // Whoever waits for it sees to a failure.
  wasm.catch(() => {});
  return { wasm };
}

/**
 * Milliseconds in which the core's answer has to begin. A link of two seconds a round trip takes four with its handshakes;
 * what takes longer is a server that answers nothing, and the plain engine does without the core.
 */
const ANSWER = 6_000;

/** Rejects if no answer begins in time; how long it takes then is for whoever reads it to judge. */
async function answerOf(url: string): Promise<Response> {
  const silent = new AbortController();
  const timer = setTimeout(() => silent.abort(), ANSWER);
  try {
    return await fetch(url, { signal: silent.signal });
  } finally {
    clearTimeout(timer);
  }
}

/** Milliseconds that the page waits for what it could show at once: drawing twice takes longer. */
const PATIENCE = 80;

/** Opens the thread that the address names as soon as there is a client; the page opens it again. */
async function readAhead(engine: EngineStore): Promise<void> {
  const { threadId, messageId } = parseRoute(location.pathname, location.search);
  const client = await new Promise<Client | undefined>(made => {
    const stop = engine.subscribe(() => {
      stop();
      made(engine.getSnapshot());
    });
  });
  if (!client || threadId === undefined) return;
  const { anchor, branch } = openingOf(threadId, messageId);
  // At a message the page opens it by itself: asked for twice, that window would be fetched twice.
  if (anchor) return;
  const handle = client.thread(threadId, branch === undefined ? {} : { branch });
  setTimeout(() => handle.release(), 1_000);
  await new Promise<void>(there => {
    handle.subscribe(() => handle.getSnapshot().status !== 'loading' && there());
  });
}

const atMost = (wanted: Promise<void>) =>
  Promise.race([wanted, new Promise<void>(done => setTimeout(done, PATIENCE))]);

async function start(root: HTMLElement): Promise<void> {
  performance.mark('threadmill.start');
  let broken = false;
  const failed = (error: unknown) => {
    broken = true;
    showFailure(root, error);
  };
  try {
    applyTheme(storedTheme());
    const engine = followEngine(clientOptions(), failed);
    const ahead = readAhead(engine);
    // Most of the script, and it takes its time: meanwhile flags and core are on their way.
    const { showPage } = await import('./page');
    await atMost(ahead);
    if (!broken) showPage(root, engine, failed);
  } catch (error) {
    failed(error);
  }
}

const root = document.getElementById('root');
if (root) void start(root);
