//! The patches of a list, by number: those of `crates/wasm/src/encode.rs`. Each is a constant of its own, so that
//! bundlers put the number in its place.

export const head = 0;
export const put = 1;
export const remove = 2;
