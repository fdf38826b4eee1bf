//! A CBOR decoder for what the core writes: definite items, open-ended arrays and maps, and tag 262 for
//! JSON text. A map member named `...` holds an object whose members belong to the map.

/** A mark of byte order at the start of a text is a letter of it like any other. */
const TEXT = new TextDecoder('utf-8', { ignoreBOM: true });
const BREAK = Symbol('break');

/** Decodes one value. Throws on anything the core does not write. */
export function decode(bytes: Uint8Array): unknown {
  let at = 0;

  function head(info: number): number {
    if (info < 24) return info;
    const size = 1 << (info - 24);
    if (info > 27) throw new Error('malformed value');
    let value = 0;
    for (let i = 0; i < size; i++) value = value * 256 + (bytes[at++] ?? 0);
    return value;
  }

  function text(length: number): string {
    const end = at + length;
    // Keys and ids are short and plain: the decoder's call costs more than the loop.
    if (length < 24) {
      let plain = '';
      for (let i = at; i < end; i++) {
        const byte = bytes[i] ?? 0;
        if (byte > 127) return long(end);
        plain += String.fromCharCode(byte);
      }
      at = end;
      return plain;
    }
    return long(end);
  }

  function long(end: number): string {
    const value = TEXT.decode(bytes.subarray(at, end));
    at = end;
    return value;
  }

  function array(info: number): unknown[] {
    const items: unknown[] = [];
    const length = info === 31 ? Number.POSITIVE_INFINITY : head(info);
    while (items.length < length) {
      const item = value();
      if (item === BREAK) break;
      items.push(item);
    }
    return items;
  }

  function map(info: number): Record<string, unknown> {
    const object: Record<string, unknown> = {};
    const length = info === 31 ? Number.POSITIVE_INFINITY : head(info);
    for (let i = 0; i < length; i++) {
      const key = value();
      if (key === BREAK) break;
      const member = value();
      if (key === '...') {
        for (const [name, value] of Object.entries(member as object)) {
          if (!Object.hasOwn(object, name)) put(object, name, value);
        }
      } else put(object, String(key), member);
    }
    return object;
  }

  function value(): unknown {
    const byte = bytes[at++];
    if (byte === undefined) throw new Error('malformed value');
    const info = byte & 31;
    switch (byte >> 5) {
      case 0:
        return head(info);
      case 2: {
        const length = head(info);
        at += length;
        return bytes.slice(at - length, at);
      }
      case 3:
        return text(head(info));
      case 4:
        return array(info);
      case 5:
        return map(info);
      case 6:
        if (head(info) !== 262) throw new Error('malformed value');
        return JSON.parse(String(value()));
      default:
        return simple(byte);
    }
  }

  return value();
}

/** A member of its own, whatever it is called: `__proto__` would replace what the object inherits. */
function put(object: Record<string, unknown>, name: string, value: unknown): void {
  if (name === '__proto__') {
    Object.defineProperty(object, name, { value, enumerable: true, configurable: true, writable: true });
  } else object[name] = value;
}

function simple(byte: number): unknown {
  switch (byte) {
    case 0xf4:
      return false;
    case 0xf5:
      return true;
    case 0xf6:
      return null;
    case 0xff:
      return BREAK;
    default:
      throw new Error('malformed value');
  }
}
