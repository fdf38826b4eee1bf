//! threadmill-wasm
