//! Checks and their lines: one line a check, one closing line, and the exit code.

import { AsyncLocalStorage } from 'node:async_hooks';

const results = { passed: 0, failed: 0 };

/** Checks whose name holds this are run, the others are left out. */
const ONLY = process.env.CHECK_ONLY ?? '';

/** What the names of checks begin with: the same checks may run in two browsers at once. */
const prefix = new AsyncLocalStorage();

/** Runs checks whose names begin with this. */
export function named(beginning, body) {
  return prefix.run(`${beginning}: `, body);
}

/** Runs groups of checks beside each other; most of their time they wait. All are run to their end. */
export async function beside(...groups) {
  await Promise.all(
    groups.map(group =>
      group().catch(error =>
        check('the checks ran to their end', () => {
          throw error;
        }),
      ),
    ),
  );
}

/** Runs one check. It passes with the note it returns, and fails with what it throws. */
export async function check(what, body) {
  const name = (prefix.getStore() ?? '') + what;
  if (!name.includes(ONLY)) return;
  const started = performance.now();
  try {
    const note = (await body()) ?? '';
    results.passed += 1;
    console.log(
      `ok    ${name} (${Math.round(performance.now() - started)} ms)${note === '' ? '' : `: ${note}`}`,
    );
  } catch (error) {
    results.failed += 1;
    console.log(`FAIL  ${name}: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** Fails the check unless `condition` holds. */
export function must(condition, message) {
  if (!condition) throw new Error(message);
}

/** Waits until `probe` gives something truthy; fails the check when it has not within `ms`. */
export async function until(what, probe, ms = 15_000) {
  const deadline = performance.now() + ms;
  for (;;) {
    const found = await probe();
    if (found) return found;
    if (performance.now() > deadline) throw new Error(`waited ${ms} ms for ${what}`);
    await new Promise(done => setTimeout(done, 20));
  }
}

/** Prints the closing line and sets the exit code. */
export function conclude() {
  console.log(`${results.passed} passed, ${results.failed} failed`);
  process.exitCode = results.failed > 0 ? 1 : 0;
}
