//! Builds the control into one script, to be evaluated in the page.

import { fileURLToPath } from 'node:url';
import { build } from 'vite';

/** The control as the source of a classic script. */
export async function controlScript() {
  const output = await build({
    configFile: false,
    logLevel: 'error',
    define: { 'process.env.NODE_ENV': '"production"' },
    build: {
      write: false,
      lib: {
        entry: fileURLToPath(new URL('control.tsx', import.meta.url)),
        formats: ['iife'],
        name: 'control',
      },
    },
  });
  const [{ output: files }] = [output].flat();
  return files[0].code;
}
