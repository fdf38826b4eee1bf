//! How the page is built: hashed files for `base: '/'`, nothing inlined, so that the server's CSP holds.

import { createHash } from 'node:crypto';
import react from '@vitejs/plugin-react';
import {
  type BuildEnvironmentOptions,
  defineConfig,
  type HtmlTagDescriptor,
  type IndexHtmlTransformContext,
  type Plugin,
  type UserConfig,
} from 'vite';
import { precompress } from './precompress';

const SERVER = process.env.THREADMILL_URL ?? 'http://127.0.0.1:7430';

type Built = NonNullable<IndexHtmlTransformContext['bundle']>[string];

/** The page's own script: React and what is drawn with it. */
function isPage(file: Built): file is Extract<Built, { type: 'chunk' }> {
  return file.type === 'chunk' && file.facadeModuleId?.endsWith('/src/page.tsx') === true;
}

/** The engine's core. The other module, which reads Markdown, is loaded when a message needs it. */
function isCore(file: Built): boolean {
  return file.type === 'asset' && file.names.includes('threadmill.wasm');
}

/** Asks for the core and for the page's own script together with the first script, which only asks for them later. */
function preloads(): Plugin {
  return {
    name: 'preloads',
    transformIndexHtml: {
      order: 'post',
      handler: (_html, { bundle = {} }) =>
        Object.values(bundle).flatMap((file): HtmlTagDescriptor[] => {
          const link = (attrs: HtmlTagDescriptor['attrs']): HtmlTagDescriptor[] => [
            {
              tag: 'link',
              attrs: { ...attrs, crossorigin: true, href: `/${file.fileName}` },
              injectTo: 'head',
            },
          ];
          if (isCore(file)) return link({ rel: 'preload', as: 'fetch', type: 'application/wasm' });
          return isPage(file) ? link({ rel: 'modulepreload' }) : [];
        }),
    },
  };
}

/**
 * Has the browser compile the page whole while it loads, on a thread of its own: else each function that is called
 * before anything is seen, most of React among them, stops the page's thread to be compiled. Chromium knows the
 * comment since version 136; others skip it.
 */
function compiledAhead(): Plugin {
  return {
    name: 'compiled-ahead',
    generateBundle(_options, bundle) {
      for (const file of Object.values(bundle))
        if (isPage(file)) file.code = `//# allFunctionsCalledOnLoad\n${file.code}`;
    },
  };
}

/** Where the service worker is built from. */
const WORKER = 'src/worker/worker.ts';

/**
 * Tells the service worker which files make the page: those the browser needs to start without a network. Its own name
 * carries no hash, since browsers ask for a worker under the name they know.
 */
function shellList(): Plugin {
  return {
    name: 'shell-list',
    enforce: 'post',
    generateBundle: {
      order: 'post',
      handler(_options, bundle) {
        const worker = bundle['sw.js'];
        if (worker?.type !== 'chunk') throw new Error('There is no service worker in the build.');
        if (worker.imports.length > 0) throw new Error('The service worker shares code with the page.');
        const files = Object.keys(bundle).filter(
          name => name.startsWith('assets/') && !name.endsWith('.map'),
        );
        const version = createHash('sha256').update(files.sort().join()).digest('hex').slice(0, 16);
        const list = JSON.stringify(['/favicon.svg', ...files.map(name => `/${name}`)]);
        worker.code = worker.code
          .replace('__SHELL_FILES__', list)
          .replace('__SHELL_VERSION__', `"${version}"`);
      },
    },
  };
}

const BUILD: BuildEnvironmentOptions = {
  target: 'es2022',
  assetsInlineLimit: 0,
  modulePreload: { polyfill: false },
  reportCompressedSize: false,
};

/** The chat page and its service worker. */
const CHAT: UserConfig = {
  plugins: [react(), preloads(), compiledAhead(), shellList(), precompress()],
  build: {
    ...BUILD,
    rollupOptions: {
      input: { main: 'index.html', sw: WORKER },
      output: { entryFileNames: ({ name }) => (name === 'sw' ? 'sw.js' : 'assets/[name]-[hash].js') },
    },
  },
};

/**
 * The operators' page, beside what the chat page's build left: `vite build --mode ops`. A build of its own, since what two
 * pages of one build share becomes a chunk that both ask for, and the service worker would keep all of it.
 */
const OPS: UserConfig = {
  plugins: [react(), precompress()],
  publicDir: false,
  build: { ...BUILD, emptyOutDir: false, rollupOptions: { input: { ops: 'ops.html' } } },
};

export default defineConfig(({ mode }) => ({
  base: '/',
  server: { port: 5173, proxy: { '/v1': { target: SERVER, ws: true }, '/ops/api': { target: SERVER } } },
  worker: { format: 'es' },
  ...(mode === 'ops' ? OPS : CHAT),
}));
