//! The decoder on bytes written by hand, as RFC 8949 has them.

import { describe, expect, it } from 'vitest';
import { decode } from '../src/core/decode.js';
import { faultOf } from '../src/core/fault.js';

const bytes = (...parts: (number | string)[]) =>
  Uint8Array.from(
    parts.flatMap(part => (typeof part === 'string' ? [...new TextEncoder().encode(part)] : [part])),
  );

describe('decode', () => {
  it('reads integers of every width', () => {
    const items = [0x00, 0x17, 0x18, 0x18, 0x19, 0x01, 0x00, 0x1a, 0x00, 0x01, 0x00, 0x00];
    const long = [0x1b, 0x00, 0x00, 0x00, 0xe8, 0xd4, 0xa5, 0x10, 0x00];
    expect(decode(bytes(0x85, ...items, ...long))).toEqual([0, 23, 24, 256, 65_536]);
    expect(decode(bytes(...long))).toBe(1_000_000_000_000);
  });

  it('reads text, short and long, plain and not', () => {
    expect(decode(bytes(0x63, 'abc'))).toBe('abc');
    expect(decode(bytes(0x66, 'añbcd'))).toBe('añbcd');
    // A mark of byte order is a letter.
    expect(decode(bytes(0x65, '\ufeffab'))).toBe('\ufeffab');
    const long = 'é'.repeat(40);
    expect(decode(bytes(0x78, 80, long))).toBe(long);
  });

  it('reads open-ended arrays and maps', () => {
    expect(decode(bytes(0x9f, 0x01, 0x9f, 0xff, 0xbf, 0x61, 'a', 0xf5, 0xff, 0xff))).toEqual([
      1,
      [],
      { a: true },
    ]);
  });

  it('parses JSON where it is marked, and spreads what belongs to its object', () => {
    const json = '{"x":[1,null],"type":"other"}';
    const marked = [0xd9, 0x01, 0x06, 0x78, json.length, json] as const;
    expect(decode(bytes(...marked))).toEqual({ x: [1, null], type: 'other' });
    const part = decode(bytes(0xbf, 0x64, 'type', 0x64, 'text', 0x63, '...', ...marked, 0xff));
    expect(part).toEqual({ type: 'text', x: [1, null] });
  });

  it('copies byte strings, so that they outlive the buffer', () => {
    const source = bytes(0x42, 1, 2);
    const copy = decode(source);
    source.fill(9);
    expect(copy).toEqual(Uint8Array.of(1, 2));
  });

  it('refuses what the core does not write', () => {
    expect(() => decode(bytes(0x82, 0x01))).toThrow();
    expect(() => decode(bytes(0xfb, 0, 0, 0, 0, 0, 0, 0, 0))).toThrow();
    expect(() => decode(bytes(0xc1, 0x01))).toThrow();
  });
});

it("a server's fault is read from JSON and CBOR, and from anything else its status", () => {
  const bytes = (text: string) => new TextEncoder().encode(text);
  const json = bytes('{"code":"overloaded","detail":"d","hint":"h","status":500}');
  expect(faultOf(503, json, decode)).toEqual({ code: 'overloaded', detail: 'd', hint: 'h', status: 503 });
  const cbor = Uint8Array.of(0x84, 0x01, 0x61, 0x64, 0xf6, 0x61, 0x68);
  expect(faultOf(500, cbor, decode)).toEqual({ code: 'internal', detail: 'd', hint: 'h', status: 500 });
  for (const other of ['<html>', '', '{', '{"a', '[]', '"text"'])
    expect(faultOf(502, bytes(other), decode), other).toEqual({
      code: 'internal',
      detail: 'HTTP 502',
      status: 502,
    });
});
