//! The core's outputs, by number: those of `crates/wasm/src/encode.rs`. Each is a constant of its own, so that bundlers
//! put the number in its place.

export const connect = 0;
export const disconnect = 1;
export const send = 2;
export const fetchWindow = 3;
export const fetchList = 4;
export const view = 5;
export const list = 6;
export const status = 7;
export const wait = 8;
export const post = 9;
export const role = 10;
export const renew = 11;
export const flags = 12;
export const dropped = 13;
export const write = 14;
export const writing = 15;
export const steal = 16;
