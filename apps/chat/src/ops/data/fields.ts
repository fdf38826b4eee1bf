//! Reading JSON that may be of another release, or cut: what is missing or of another type is an empty text, `null` or an
//! empty list, and a list is cut at a bound. So one field too few costs its own place on the page and nothing else.

/** Rows of a list that are looked at; the server sends 200 at most. */
const MOST = 500;
/** Letters of a text that are kept. */
const LONGEST = 20_000;

/** An object of an answer, read field by field. */
export class Fields {
  readonly #of: Readonly<Record<string, unknown>>;

  constructor(value: unknown) {
    this.#of =
      typeof value === 'object' && value !== null && !Array.isArray(value)
        ? (value as Record<string, unknown>)
        : {};
  }

  /** Whether there is such a field, whatever it holds. */
  has(name: string): boolean {
    return Object.hasOwn(this.#of, name) && this.#of[name] !== null;
  }

  text(name: string): string {
    return this.textOrNone(name) ?? '';
  }

  textOrNone(name: string): string | undefined {
    const value = this.#own(name);
    return typeof value === 'string' ? value.slice(0, LONGEST) : undefined;
  }

  number(name: string): number | null {
    return numberOf(this.#own(name));
  }

  flag(name: string): boolean {
    return this.#own(name) === true;
  }

  /** An object inside; an empty one if there is none. */
  inside(name: string): Fields {
    return new Fields(this.#own(name));
  }

  list<T>(name: string, read: (item: Fields) => T): readonly T[] {
    return this.values(name).map(item => read(new Fields(item)));
  }

  /** A list as it came. */
  values(name: string): readonly unknown[] {
    const value = this.#own(name);
    return Array.isArray(value) ? value.slice(0, MOST) : [];
  }

  /** The field as it came, for who shows any JSON. */
  any(name: string): unknown {
    return this.#own(name);
  }

  names(): readonly string[] {
    return Object.keys(this.#of).slice(0, MOST);
  }

  /** A time as milliseconds since 1970. */
  time(name: string): number | null {
    return numberOf(Date.parse(this.text(name)));
  }

  #own(name: string): unknown {
    return Object.hasOwn(this.#of, name) ? this.#of[name] : undefined;
  }
}

/** A number that can be reckoned with. */
export function numberOf(value: unknown): number | null {
  return typeof value === 'number' && Number.isFinite(value) ? value : null;
}
