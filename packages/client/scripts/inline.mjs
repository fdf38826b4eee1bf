//! Writes `dist/inline.js`: the core as a module, for pages and tools that cannot fetch a file beside their code.

import { readFileSync, writeFileSync } from 'node:fs';

const at = path => new URL(path, import.meta.url);
const base64 = readFileSync(at('../wasm/threadmill.wasm')).toString('base64');

writeFileSync(
  at('../dist/inline.js'),
  `//! The core, made from threadmill.wasm by the build.

/** Give it to \`createClient\` as \`wasm\`. */
export const wasm = /* @__PURE__ */ Uint8Array.from(
  /* @__PURE__ */ atob('${base64}'),
  letter => letter.charCodeAt(0),
);
`,
);
writeFileSync(
  at('../dist/inline.d.ts'),
  `/** The core's bytes, third more to download than the file. Give them to \`createClient\` as \`wasm\`. */
export declare const wasm: Uint8Array<ArrayBuffer>;
`,
);
