//! How the page is built: hashed files for `base: '/'`, nothing inlined, so that the server's CSP holds.

import react from '@vitejs/plugin-react';
import { defineConfig } from 'vite';

const SERVER = process.env.THREADMILL_URL ?? 'http://127.0.0.1:7430';

export default defineConfig({
  base: '/',
  plugins: [react()],
  server: { port: 5173, proxy: { '/v1': { target: SERVER, ws: true } } },
  build: {
    target: 'es2022',
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
  },
});
