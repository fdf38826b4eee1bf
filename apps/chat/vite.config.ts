//! How the page is built: hashed files for `base: '/'`, nothing inlined, so that the server's CSP holds.

import react from '@vitejs/plugin-react';
import { defineConfig, type HtmlTagDescriptor, type IndexHtmlTransformContext, type Plugin } from 'vite';

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

export default defineConfig({
  base: '/',
  plugins: [react(), preloads(), compiledAhead()],
  server: { port: 5173, proxy: { '/v1': { target: SERVER, ws: true } } },
  worker: { format: 'es' },
  build: {
    target: 'es2022',
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
  },
});
