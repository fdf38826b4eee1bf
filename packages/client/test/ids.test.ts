//! Ids minted here.

import { expect, it } from 'vitest';
import { mint } from '../src/words/ids.js';

it('mints UUIDs of version 7 that sort by time and do not repeat', () => {
  const form = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
  const [early, late] = [mint(1_700_000_000_000), mint(1_700_000_000_001)];
  expect(early).toMatch(form);
  expect(early < late).toBe(true);
  expect(new Set(Array.from({ length: 1_000 }, () => mint(5))).size).toBe(1_000);
});
