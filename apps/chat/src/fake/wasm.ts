//! Stands in for the wasm file. Development only.

export default '';
