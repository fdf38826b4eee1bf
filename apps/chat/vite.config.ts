//! How the page is built: hashed files for `base: '/'`, nothing inlined, so that the server's CSP holds.

import { fileURLToPath } from 'node:url';
import react from '@vitejs/plugin-react';
import { defineConfig } from 'vite';

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const SERVER = process.env.THREADMILL_URL ?? 'http://127.0.0.1:7430';

export default defineConfig(({ mode }) => ({
  base: '/',
  plugins: [react()],
  resolve: {
    alias:
      mode === 'fake'
        ? {
            '@threadmill/client/core.wasm?url': here('src/fake/wasm.ts'),
            '@threadmill/client': here('src/fake/client.ts'),
            '@threadmill/react': here('../../packages/react/src/index.ts'),
          }
        : {},
  },
  server: { port: 5173, proxy: { '/v1': { target: SERVER, ws: true } } },
  build: {
    target: 'es2022',
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
  },
}));
