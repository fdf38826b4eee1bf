//! CBOR of a server's frames: what they are made of and no more.

export type Item = number | string | null | boolean | Uint8Array | readonly Item[];

export function encode(item: Item): number[] {
  if (item === null) return [0xf6];
  if (typeof item === 'boolean') return [item ? 0xf5 : 0xf4];
  if (typeof item === 'number') return head(0, item);
  if (typeof item === 'string') {
    const text = new TextEncoder().encode(item);
    return [...head(3, text.length), ...text];
  }
  if (item instanceof Uint8Array) return [...head(2, item.length), ...item];
  return [...head(4, item.length), ...item.flatMap(encode)];
}

function head(major: number, value: number): number[] {
  if (value < 24) return [(major << 5) | value];
  if (value < 256) return [(major << 5) | 24, value];
  if (value < 65_536) return [(major << 5) | 25, value >> 8, value & 255];
  return [(major << 5) | 26, value >>> 24, (value >> 16) & 255, (value >> 8) & 255, value & 255];
}
