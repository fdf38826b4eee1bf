//! A brotli and a gzip form beside each built file, for the server to send as they are. The best a coder can do takes
//! seconds, which a build has and an answer has not.

import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { extname, join } from 'node:path';
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';
import type { Plugin } from 'vite';

/** What is not packed already. */
const TEXTS = new Set(['.css', '.html', '.js', '.json', '.svg', '.wasm', '.webmanifest']);

/** A form that saves less than this share is not worth its place in the binary. */
const WORTH = 0.9;

const FORMS: [string, (bytes: Buffer) => Buffer][] = [
  ['.br', bytes => brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: 11 } })],
  ['.gz', bytes => gzipSync(bytes, { level: 9 })],
];

/** Whether another build of the same folder has done it. */
function isDone(file: string): boolean {
  const forms = FORMS.map(([ending]) => file + ending).filter(form => existsSync(form));
  return forms.length > 0 && forms.every(form => statSync(form).mtimeMs >= statSync(file).mtimeMs);
}

/** Compresses all that was written. */
export function precompress(): Plugin {
  return {
    name: 'precompress',
    apply: 'build',
    writeBundle({ dir }) {
      if (dir === undefined) return;
      for (const name of readdirSync(dir, { recursive: true, encoding: 'utf8' })) {
        if (!TEXTS.has(extname(name)) || isDone(join(dir, name))) continue;
        const bytes = readFileSync(join(dir, name));
        for (const [ending, compress] of FORMS) {
          const form = compress(bytes);
          if (form.byteLength < bytes.byteLength * WORTH) writeFileSync(join(dir, name + ending), form);
        }
      }
    },
  };
}
