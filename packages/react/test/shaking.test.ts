//! An app that uses one hook carries that one.

import { join } from 'node:path';
import { build } from 'vite';
import { expect, it } from 'vitest';

const index = join(import.meta.dirname, '../src/index.ts');

/** An entry that exports these of the package, as an app would bundle it. */
async function bundled(names: string): Promise<string> {
  const output = await build({
    configFile: false,
    logLevel: 'error',
    plugins: [
      {
        name: 'entry',
        resolveId: id => (id.endsWith('virtual:entry') ? 'virtual:entry' : undefined),
        load: id =>
          id === 'virtual:entry' ? `export { ${names} } from ${JSON.stringify(index)};` : undefined,
      },
    ],
    build: {
      write: false,
      minify: false,
      lib: { entry: 'virtual:entry', formats: ['es'] },
      rolldownOptions: { external: [/^react/, '@threadmill/client'] },
    },
  });
  const files = [output].flat().flatMap(result => ('output' in result ? result.output : []));
  return files.map(file => (file.type === 'chunk' ? file.code : '')).join('\n');
}

/** What tells a hook by its code, whatever names a bundler gives. */
const MARKS = {
  useMessages: 'loadOlder',
  useThreads: 'loadMore',
  useStreamBlocks: 'dataset.kind',
  useOutbox: 'retry',
  useRun: 'regenerate',
  useSend: 'handOver',
  useSyncStatus: 'getSnapshot, status.getSnapshot',
  useFlag: 'hasOwn',
  ThreadmillProvider: 'followEngine',
} as const;

it('brings one hook without the others', async () => {
  const whole = await bundled(Object.keys(MARKS).join(', '));
  for (const mark of Object.values(MARKS)) expect(whole).toContain(mark);
  for (const [name, mark] of Object.entries(MARKS)) {
    const code = await bundled(name);
    expect(code, name).toContain(mark);
    const others = Object.entries(MARKS).filter(([other, text]) => other !== name && code.includes(text));
    // A run is told from what waits in the outbox.
    const needed = name === 'useRun' ? ['useOutbox'] : [];
    expect(
      others.map(([other]) => other),
      name,
    ).toEqual(needed);
  }
});
