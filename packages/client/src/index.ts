//! The public API of the Threadmill client.

export { createClient, type EngineStore, followEngine } from './engine.js';
export { mint } from './ids.js';
export { ProblemError } from './problem.js';
export { wholeParts, wholeTexts } from './rows.js';
export type * from './types.js';
