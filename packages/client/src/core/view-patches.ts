//! The patches of a view, by number: those of `crates/wasm/src/encode.rs`. Each is a constant of its own, so that
//! bundlers put the number in its place.

export const head = 0;
export const reset = 1;
export const prepend = 2;
export const append = 3;
export const dropFirst = 4;
export const dropLast = 5;
export const update = 6;
export const remove = 7;
export const text = 8;
export const part = 9;
export const loaded = 10;
export const stayed = 11;
