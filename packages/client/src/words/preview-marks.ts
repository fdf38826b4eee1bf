//! What the server's JSON says of a part that it has cut short, inside the part itself.

import { fieldOf, isCount, isObject } from './json.js';
import type { PreviewPart } from './types.js';

/** The whole size of a part that the server has cut short, as its JSON says it; a part may have a field of that name. */
export function previewBytes({ preview }: PreviewPart): number | undefined {
  const bytes = isObject(preview) ? fieldOf(preview, 'bytes') : undefined;
  return isCount(bytes) ? bytes : undefined;
}
