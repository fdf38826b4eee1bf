//! The public API of the Threadmill client.

export { createClient } from './client.js';
export { mint } from './ids.js';
export { ProblemError } from './problem.js';
export type * from './types.js';
