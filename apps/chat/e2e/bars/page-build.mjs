//! Builds the page of the bars into one script. A fault can be planted in the client on the way: that is how each
//! bar is shown to be able to fail.

import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { build } from 'vite';
import { FAULTS } from './faults.mjs';

const here = name => fileURLToPath(new URL(name, import.meta.url));
const CLIENT = here('../../../../packages/client/');

/** Replaces a piece of one of the client's files; that it is not there is an error. */
function plant({ file, find, replace }) {
  let planted = false;
  return {
    name: 'plant',
    // Before types are taken out, so that the fault is written as the source is.
    enforce: 'pre',
    transform(code, id) {
      if (!id.endsWith(`client/src/${file}`)) return null;
      if (!code.includes(find)) throw new Error(`the fault does not fit ${file} any more: ${find}`);
      planted = true;
      return code.replace(find, replace);
    },
    buildEnd() {
      if (!planted) throw new Error(`${file} is not part of the page`);
    },
  };
}

/** The source of a classic script that sets `window.__bars`. */
export async function pageScript() {
  const fault = process.env.BARS_FAULT ? FAULTS[process.env.BARS_FAULT] : undefined;
  const core = await readFile(`${CLIENT}wasm/threadmill.wasm`);
  const output = await build({
    configFile: false,
    logLevel: 'error',
    define: { CORE: JSON.stringify(core.toString('base64')) },
    resolve: {
      alias: { '@threadmill/client': `${CLIENT}src/index.ts` },
    },
    plugins: fault?.file ? [plant(fault)] : [],
    build: {
      write: false,
      minify: false,
      target: 'es2022',
      rolldownOptions: { output: { codeSplitting: false } },
      lib: { entry: here('page.ts'), formats: ['iife'], name: 'bars' },
    },
  });
  const [{ output: files }] = [output].flat();
  return files[0].code;
}
