//! How the page is built: hashed files for `base: '/'`, nothing inlined, so that the server's CSP holds.

import react from '@vitejs/plugin-react';
import { defineConfig, type HtmlTagDescriptor, type Plugin } from 'vite';

const SERVER = process.env.THREADMILL_URL ?? 'http://127.0.0.1:7430';

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
          if (file.fileName.endsWith('.wasm'))
            return link({ rel: 'preload', as: 'fetch', type: 'application/wasm' });
          const isPage = file.type === 'chunk' && file.facadeModuleId?.endsWith('/src/page.tsx');
          return isPage ? link({ rel: 'modulepreload' }) : [];
        }),
    },
  };
}

export default defineConfig({
  base: '/',
  plugins: [react(), preloads()],
  server: { port: 5173, proxy: { '/v1': { target: SERVER, ws: true } } },
  build: {
    target: 'es2022',
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
  },
});
