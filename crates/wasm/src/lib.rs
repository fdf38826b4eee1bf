//! The browser's door to the core: a handful of functions over plain numbers, which `packages/client/src/core/core.ts`
//! calls by name.
//!
//! Nothing of a window crosses twice: a poll returns what changed since the last one, as one CBOR array of patches in
//! the shapes the TypeScript host hands on. Texts and frames go in through a buffer that the host fills before a call.
//! Opaque JSON crosses as its text and is parsed there. There is no generated glue: it was a sixth of the client.

#![cfg_attr(target_arch = "wasm32", no_std)]

extern crate alloc;

mod abi;
mod call;
mod encode;
#[cfg(target_arch = "wasm32")]
mod runtime;
mod tab;
