//! What the page and the worker that colours code say to each other. The worker's own code is not to be part of the page,
//! so the page knows these words and the worker's address alone.

/** Text, or a span of it. */
export type CodeNode = string | { readonly className: string; readonly children: readonly CodeNode[] };

/** A code and its language; `id` comes back with the answer. */
export interface ColourJob {
  readonly id: number;
  readonly code: string;
  readonly language: string;
}

/** What the worker says. */
export type ColourAnswer =
  | 'loaded'
  | { readonly id: number; readonly nodes: readonly CodeNode[] | undefined };
