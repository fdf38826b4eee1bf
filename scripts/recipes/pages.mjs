//! A recipe as its page has it: the blocks of `docs/recipes/NAME.md` that have a title.

import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const folder = fileURLToPath(new URL('../../docs/recipes', import.meta.url));

/** Blocks that are commands; all others are files. */
const COMMANDS = new Set(['install', 'build', 'start']);

async function blocksOf(page) {
  const text = await readFile(join(folder, page), 'utf8');
  return [...text.matchAll(/^```\w+ title="([^"]+)"\n(.*?)^```/gms)].map(([, title, code]) => [title, code]);
}

/** The names of all recipes. */
export async function recipeNames() {
  const pages = (await readdir(folder)).filter(page => page.endsWith('.md') && page !== 'README.md');
  return pages.map(page => page.slice(0, -'.md'.length)).sort();
}

/** The commands of a recipe, and its files, which are written into the folder `home`. */
export async function layOut(name, home) {
  const blocks = await blocksOf(`${name}.md`);
  const commands = Object.fromEntries(blocks.filter(([title]) => COMMANDS.has(title)));
  for (const needed of ['install', 'start'])
    if (!commands[needed]) throw new Error(`docs/recipes/${name}.md has no block “${needed}”`);
  for (const [title, code] of blocks) if (!COMMANDS.has(title)) await write(join(home, title), code);
  return commands;
}

/** Writes the files that all recipes share. */
export async function layOutShared(home) {
  for (const [title, code] of await blocksOf('README.md')) await write(join(home, title), code);
}

async function write(file, code) {
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, code);
}
