//! The hooks are tested over the client's sources, so that no build has to come first.

import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

export default defineConfig({
  resolve: {
    alias: { '@threadmill/client': fileURLToPath(new URL('../client/src/index.ts', import.meta.url)) },
  },
});
