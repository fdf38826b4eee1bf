//! The test app builds for a browser.

import { fileURLToPath } from 'node:url';
import { build, type Rollup } from 'vite';
import { expect, it } from 'vitest';

it('the test app builds', { timeout: 60_000 }, async () => {
  const source = (path: string) => fileURLToPath(new URL(path, import.meta.url));
  const alias = {
    '@threadmill/client': source('../../client/src/index.ts'),
    '@threadmill/react': source('../../react/src/index.ts'),
  };
  const built = await build({
    root: source('app'),
    configFile: false,
    logLevel: 'error',
    resolve: { alias },
    build: { write: false, target: 'es2022' },
  });
  const { output } = built as Rollup.RollupOutput;
  const files = output.map(({ fileName }) => fileName.split('.').at(-1));
  expect(files).toEqual(expect.arrayContaining(['js', 'html', 'wasm']));
});
