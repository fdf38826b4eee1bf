//! The public API of the Threadmill client.

export { createClient, type EngineStore, followEngine } from './engine.js';
export { measured } from './words/gauge.js';
export { mint } from './words/ids.js';
export { ProblemError } from './words/problem.js';
export { wholeParts, wholeTexts } from './words/rows.js';
export type * from './words/types.js';
