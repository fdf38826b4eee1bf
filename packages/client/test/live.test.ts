//! What a run writes of one message, and the text of all its parts together.

import { describe, expect, it, vi } from 'vitest';
import { Frames } from '../src/page/frames.js';
import { LiveMessage } from '../src/views/live.js';
import { Page } from './surroundings.js';

/** A message of two text parts, both open. */
function twoTexts() {
  const page = new Page();
  const parts = [
    { type: 'text', text: 'a' },
    { type: 'text', text: 'z' },
  ];
  return { page, message: new LiveMessage(new Frames(page), parts, 'open') };
}

describe('the text of all parts', () => {
  it('is joined once a frame however much comes to a text that is not the last', () => {
    const { page, message } = twoTexts();
    const joins = vi.spyOn(message.all, 'become');
    const calls: string[] = [];
    message.all.attach({
      reset: text => void calls.push(`=${text}`),
      append: delta => void calls.push(`+${delta}`),
      end: () => void calls.push('.'),
    });
    for (let i = 0; i < 1_000; i++) {
      message.append(0, 'b');
      message.append(1, 'y');
    }
    page.frame();
    message.append(1, 'x');
    page.frame(40);
    const all = `a${'b'.repeat(1_000)}z${'y'.repeat(1_000)}`;
    expect(calls).toEqual(['=az', `=${all}`, '+x']);
    expect(joins).toHaveBeenCalledTimes(1);
  });

  it('is not joined at all while nobody reads it, and right for whoever asks', () => {
    const { page, message } = twoTexts();
    const joins = vi.spyOn(message.all, 'become');
    message.append(0, 'b');
    message.put(1, { type: 'text', text: 'y' });
    page.frame();
    expect(joins).not.toHaveBeenCalled();
    message.append(1, 'x');
    expect(message.all.text()).toBe('abyx');
    message.append(0, 'c');
    message.end([{ type: 'text', text: 'final' }]);
    expect(message.all.text()).toBe('final');
  });
});
