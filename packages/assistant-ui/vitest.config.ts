//! The runtime is tested over the sources of the client and of the hooks, so that no build has to come first.

import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

const source = (path: string) => fileURLToPath(new URL(path, import.meta.url));

export default defineConfig({
  resolve: {
    alias: {
      '@threadmill/client': source('../client/src/index.ts'),
      '@threadmill/react': source('../react/src/index.ts'),
    },
  },
});
