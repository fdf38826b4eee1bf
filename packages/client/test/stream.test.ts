//! The fast lane of one message.

import { describe, expect, it } from 'vitest';
import { Frames } from '../src/page/frames.js';
import { TextStream } from '../src/views/stream.js';
import { Page } from './surroundings.js';

function sink() {
  const calls: string[] = [];
  return {
    calls,
    reset: (text: string) => void calls.push(`=${text}`),
    append: (delta: string) => void calls.push(`+${delta}`),
    end: () => void calls.push('.'),
  };
}

function stream(text = '') {
  const page = new Page();
  return { page, stream: new TextStream(new Frames(page), text, 'open') };
}

describe('TextStream', () => {
  it('resets first, appends once a frame, and ends', () => {
    const { page, stream: text } = stream('a');
    const seen = sink();
    text.attach(seen);
    text.append('b');
    text.append('c');
    expect(text.text()).toBe('abc');
    page.frame();
    text.append('d');
    text.end('abcd');
    expect(seen.calls).toEqual(['=a', '+bc', '+d', '.']);
  });

  it('gives a late sink all there is, and the others nothing twice', () => {
    const { page, stream: text } = stream();
    const [first, late] = [sink(), sink()];
    text.attach(first);
    text.append('x');
    text.attach(late);
    page.frame();
    expect(first.calls).toEqual(['=', '+x']);
    expect(late.calls).toEqual(['=x']);
  });

  it('rewrites when the text is no continuation', () => {
    const { page, stream: text } = stream('ab');
    const seen = sink();
    text.attach(seen);
    text.append('c');
    text.become('axbc');
    page.frame(40);
    text.become('axbcd');
    page.frame(40);
    text.end('final');
    expect(seen.calls).toEqual(['=ab', '=axbc', '+d', '=final', '.']);
  });

  it('goes on for those who saw it end, when a run takes it up', () => {
    const { page, stream: text } = stream('a');
    const seen = sink();
    text.attach(seen);
    text.end('a');
    text.open('a');
    text.append('b');
    page.frame();
    text.end('ab');
    expect(seen.calls).toEqual(['=a', '.', '+b', '.']);
  });

  it('says nothing to a sink that has left', () => {
    const { page, stream: text } = stream();
    const seen = sink();
    text.attach(seen)();
    text.append('x');
    page.frame();
    expect(seen.calls).toEqual(['=']);
  });

  it('is whole at once for a message that no run writes', () => {
    const seen = sink();
    new TextStream(new Frames(new Page()), 'all', 'ended').attach(seen);
    expect(seen.calls).toEqual(['=all', '.']);
  });
});
