//! When the next page is asked for.

import { describe, expect, it } from 'vitest';
import { loadAhead, ScrollSpeed } from '../src/list/load-ahead';

const viewport = 800;
const content = 40_000;

describe('loadAhead', () => {
  it('is a viewport and a half for a reader who does not move', () => {
    expect(loadAhead({ viewport, content, speed: 0 })).toBe(1_200);
  });

  it('grows by what passes in 300 ms', () => {
    expect(loadAhead({ viewport, content, speed: 3 })).toBe(1_200 + 900);
  });

  it('has an end', () => {
    expect(loadAhead({ viewport, content, speed: 1_000 })).toBe(5 * viewport);
  });

  it('never reaches over half of what is loaded, so that the two ends do not call for each other', () => {
    for (const speed of [0, 1, 10, 100]) {
      const ahead = loadAhead({ viewport, content: 3 * viewport, speed });
      expect(2 * ahead).toBeLessThan(2 * viewport);
    }
  });

  it('is never less in motion than at rest', () => {
    for (const content of [viewport, 2 * viewport, 10 * viewport, 100 * viewport]) {
      const rest = loadAhead({ viewport, content, speed: 0 });
      for (const speed of [0.1, 1, 5]) {
        expect(loadAhead({ viewport, content, speed })).toBeGreaterThanOrEqual(rest);
      }
    }
  });
});

describe('ScrollSpeed', () => {
  it('comes near to an even speed within a few events, in either direction', () => {
    for (const step of [48, -48]) {
      const speed = new ScrollSpeed();
      for (let at = 0; at <= 160; at += 16) speed.moved(step, at);
      expect(speed.at(160)).toBeGreaterThan(2.9);
      expect(speed.at(160)).toBeLessThanOrEqual(3);
    }
  });

  it('is nothing after a pause, and for a single step', () => {
    const speed = new ScrollSpeed();
    speed.moved(5_000, 1_000);
    expect(speed.at(1_000)).toBe(0);
    speed.moved(100, 1_010);
    expect(speed.at(1_010)).toBeGreaterThan(0);
    expect(speed.at(1_200)).toBe(0);
    speed.moved(5_000, 1_300);
    expect(speed.at(1_300)).toBe(0);
  });
});
