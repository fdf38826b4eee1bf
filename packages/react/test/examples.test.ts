//! The documented examples compile as they are printed: those of both READMEs, for each version of the AI SDK, and every
//! `@example` of the sources. And the READMEs name all there is.

import { execFile } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, it } from 'vitest';
import * as hooks from '../src/index.js';

const at = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const PACKAGES = at('../../');

/** What the examples take for granted: an app's own names. */
const PRELUDE = `
import { type Client, createClient, followEngine, type PreviewPart, type Row } from '@threadmill/client';
import { createDirectClient } from '@threadmill/client/direct';
import { createChatTransport, loadMessages } from '@threadmill/client/ai-sdk';
import * as T from '@threadmill/react';
import { type UIMessage, useChat } from '@ai-sdk/react';
import { type ReactNode, useMemo } from 'react';
declare const client: Client, wasm: string, wasmUrl: string, threadId: string, history: UIMessage[];
declare const message: Row, row: Row;
declare function show(shown: unknown): void;
declare function App(): ReactNode;
declare function Message(props: { row: Row }): ReactNode;
declare function Markdown(props: { source: string }): ReactNode;
declare function Part(props: { part: PreviewPart; at: number }): ReactNode;
const { ${Object.keys(hooks).join(', ')} } = T;
const { handle } = useMessages(threadId);
`;

const CONFIG = {
  compilerOptions: {
    target: 'ES2023',
    lib: ['ES2023', 'DOM', 'DOM.Iterable'],
    module: 'ESNext',
    moduleResolution: 'bundler',
    types: ['vite/client', 'node'],
    jsx: 'react-jsx',
    strict: true,
    noEmit: true,
    skipLibCheck: true,
    allowUnreachableCode: true,
    paths: {
      '@threadmill/client': [at('../../client/src/index.ts')],
      '@threadmill/client/ai-sdk': [at('../../client/src/ai-sdk/index.ts')],
      '@threadmill/client/direct': [at('../../client/src/direct/index.ts')],
      '@threadmill/react': [at('../src/index.ts')],
    },
  },
  include: ['*.ts', '*.tsx'],
};

let folder: string;
beforeAll(async () => {
  // Beside this file, so that what the examples import is found.
  folder = await mkdtemp(at('./.examples-'));
});
afterAll(() => rm(folder, { recursive: true }));

async function readmes(): Promise<string[]> {
  return Promise.all(['client', 'react'].map(name => readFile(join(PACKAGES, name, 'README.md'), 'utf8')));
}

async function sources(): Promise<string[]> {
  const lists = ['client', 'react'].map(async name => {
    const files = await readdir(join(PACKAGES, name, 'src'), { recursive: true, withFileTypes: true });
    return files.filter(file => file.isFile()).map(file => join(file.parentPath, file.name));
  });
  return (await Promise.all(lists)).flat().sort();
}

/** The `@example`s of a source, without the stars of their comments. */
function examplesOf(source: string): string[] {
  const comments = source.match(/\/\*\*.*?\*\//gs) ?? [];
  return comments.flatMap(comment => {
    const [, example] = /@example\n(.*)\*\//s.exec(comment) ?? [];
    return example === undefined ? [] : [example.replace(/^\s*\* ?/gm, '')];
  });
}

async function compile(): Promise<string> {
  await writeFile(join(folder, 'tsconfig.json'), JSON.stringify(CONFIG));
  const tsc = at('../../../node_modules/typescript/bin/tsc');
  const run = promisify(execFile)(process.execPath, [tsc, '-p', folder]);
  return run.then(
    () => '',
    (error: { stdout: string }) => error.stdout,
  );
}

it('compile, all of them', { timeout: 60_000 }, async () => {
  let count = 0;
  for (const [which, text] of (await readmes()).entries()) {
    for (const [, title = '', code = ''] of text.matchAll(/^```tsx? title="([^"]+)"\n(.*?)^```/gms)) {
      count += 1;
      const name = `readme-${which}-${title.replaceAll('/', '-')}`;
      const versions = code.includes("'@ai-sdk/react'") ? [5, 6, 7] : [0];
      for (const version of versions) {
        const own = code
          .replace("'@ai-sdk/react'", `'ai-sdk-react-${version}'`)
          .replace("'./threads'", "'./readme-1-app-threads'");
        await writeFile(join(folder, version === 0 ? name : `v${version}-${name}`), own);
      }
    }
  }
  expect(count).toBeGreaterThanOrEqual(6);
  for (const file of await sources()) {
    for (const [index, example] of examplesOf(await readFile(file, 'utf8')).entries()) {
      count += 1;
      const name = relative(PACKAGES, file).replaceAll(/[/.]/g, '-');
      const prelude = PRELUDE.replace("'@ai-sdk/react'", "'ai-sdk-react-7'");
      const code = `${prelude}\nexport async function example() {\n${example}\n}\n`;
      await writeFile(join(folder, `source-${name}-${index}.tsx`), code);
    }
  }
  expect(count).toBeGreaterThanOrEqual(18);
  expect(await compile()).toBe('');
});

it('are in a table that names every hook, and the options that say who somebody is', async () => {
  const [client = '', react = ''] = await readmes();
  const table = react.slice(react.indexOf('## The hooks'));
  for (const name of Object.keys(hooks)) expect(table).toContain(`\`${name}`);
  for (const text of [client, react])
    for (const word of ['getToken', 'user']) expect(text).toContain(`\`${word}\``);
});
