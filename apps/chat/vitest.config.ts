//! Unit tests of the page. The hooks are read from their sources, so that a test needs no build.

import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

export default defineConfig({
  resolve: {
    alias: {
      '@threadmill/client': here('../../packages/client/src/index.ts'),
      '@threadmill/react': here('../../packages/react/src/index.ts'),
    },
  },
  test: { include: ['test/**/*.test.{ts,tsx}'] },
});
