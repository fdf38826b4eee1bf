//! What `std` would bring to the browser, at a tenth of its weight: the heap, and what a panic does.

#![allow(unsafe_code)]

use core::panic::PanicInfo;
use talc::wasm::{WasmDynamicTalc, new_wasm_dynamic_allocator};

#[global_allocator]
static HEAP: WasmDynamicTalc = new_wasm_dynamic_allocator();

/// A defect of the core traps and says nothing: words would bring the formatting of every type with them.
#[panic_handler]
fn trap(_: &PanicInfo<'_>) -> ! {
    core::arch::wasm32::unreachable()
}
