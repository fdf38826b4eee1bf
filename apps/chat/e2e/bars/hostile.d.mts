//! The types of `hostile.mjs`, for tests that are written in TypeScript.

export const HOSTILE: Readonly<Record<string, string>>;
