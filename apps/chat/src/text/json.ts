//! Data of a message as text to read.

/** Deeper data is written without indents: they would be longer than the data by its depth. */
const DEEPEST = 32;

function isDeep(value: unknown): boolean {
  let level: unknown[] = [value];
  for (let depth = 0; level.length > 0; depth += 1) {
    if (depth > DEEPEST) return true;
    level = level.flatMap(one => (typeof one === 'object' && one !== null ? Object.values(one) : []));
  }
  return false;
}

/** The whole value as JSON, in lines if that can be read. */
export function jsonOf(value: unknown): string {
  try {
    return JSON.stringify(value, undefined, isDeep(value) ? undefined : 2) ?? '';
  } catch {
    // Nested deeper than the browser's own stack.
    return 'This data is nested too deeply to be shown.';
  }
}
