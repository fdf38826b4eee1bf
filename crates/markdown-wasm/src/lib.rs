//! The browser's door to the renderer: a handful of functions over plain numbers, which
//! `apps/chat/src/markdown/parser.ts` calls by name.
//!
//! The build adds the fuel (`xtask/src/fuel.rs`): a number that the host sets before a call, that every call and
//! every turn of a loop burns, and at whose end the module traps. So no text makes it run long, whatever the parser
//! does with it. After a trap the instance is lost and the host makes another.

#![allow(unsafe_code)]

use threadmill_markdown::{Rendered, render};

/// One text at a time: its bytes, then what to draw.
#[derive(Debug, Default)]
pub struct Renderer {
    source: Vec<u8>,
    rendered: Rendered,
}

/// A renderer, which is never given back: an instance has one.
#[unsafe(no_mangle)]
pub extern "C" fn renderer_make() -> *mut Renderer {
    Box::into_raw(Box::default())
}

/// Room for the bytes of the next text, which are UTF-8.
///
/// # Safety
/// `renderer` is from [`renderer_make`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn renderer_source(renderer: *mut Renderer, len: usize) -> *mut u8 {
    // SAFETY: the caller's promise.
    let renderer = unsafe { &mut *renderer };
    renderer.source.clear();
    renderer.source.resize(len, 0);
    renderer.source.as_mut_ptr()
}

/// Renders the text; returns the address of the list.
///
/// # Safety
/// `renderer` is from [`renderer_make`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn renderer_render(renderer: *mut Renderer) -> *const u32 {
    // SAFETY: the caller's promise.
    let renderer = unsafe { &mut *renderer };
    renderer.rendered = render(str::from_utf8(&renderer.source).unwrap_or_default());
    renderer.rendered.ops.as_ptr()
}

/// How many numbers the list has.
///
/// # Safety
/// `renderer` is from [`renderer_make`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn renderer_ops(renderer: *const Renderer) -> usize {
    // SAFETY: the caller's promise.
    unsafe { &*renderer }.rendered.ops.len()
}

/// The address of the letters, which are UTF-8.
///
/// # Safety
/// `renderer` is from [`renderer_make`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn renderer_text(renderer: *const Renderer) -> *const u8 {
    // SAFETY: the caller's promise.
    unsafe { &*renderer }.rendered.text.as_ptr()
}

/// How many bytes the letters have.
///
/// # Safety
/// `renderer` is from [`renderer_make`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn renderer_text_size(renderer: *const Renderer) -> usize {
    // SAFETY: the caller's promise.
    unsafe { &*renderer }.rendered.text.len()
}
