//! The faults that bars plant fit the client as it is: one that does not would be missed only when it is planted.

import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { FAULTS } from '../e2e/bars/faults.mjs';

const sources = new URL('../../../packages/client/src/', import.meta.url);

it('every planted fault finds what it replaces, once', () => {
  const planted = Object.entries(FAULTS).filter(([, { file }]) => file);
  expect(planted.length).toBeGreaterThan(5);
  const times = planted.map(([name, { file = '', find = '' }]) => [
    name,
    readFileSync(new URL(file, sources), 'utf8').split(find).length - 1,
  ]);
  expect(times).toEqual(planted.map(([name]) => [name, 1]));
});
