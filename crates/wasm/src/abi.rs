//! The exported functions. A host makes a tab, and gives its address back with every call.

#![allow(unsafe_code)]

use crate::tab::Tab;
use alloc::boxed::Box;

/// A tab that has not started. The seed spreads reconnects and names the tab.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn tab_make(seed: f64) -> *mut Tab {
    Box::into_raw(Box::new(Tab::new(seed.to_bits())))
}

/// The tab is over.
///
/// # Safety
/// `tab` is from [`tab_make`] and was not given here before.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn tab_end(tab: *mut Tab) {
    // SAFETY: the caller's promise.
    drop(unsafe { Box::from_raw(tab) });
}

/// Room for the bytes that the next call reads.
///
/// # Safety
/// `tab` is from [`tab_make`] and not over.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn tab_input(tab: *mut Tab, len: usize) -> *mut u8 {
    // SAFETY: the caller's promise.
    unsafe { &mut *tab }.input(len)
}

/// Does what `kind` says; see `call.rs`. The texts are one after the other in the input: two lengths, and the rest.
///
/// # Safety
/// `tab` is from [`tab_make`] and not over.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn tab_call(
    tab: *mut Tab,
    kind: u32,
    now: f64,
    a: f64,
    b: f64,
    c: f64,
    first: usize,
    second: usize,
) -> u32 {
    // SAFETY: the caller's promise.
    unsafe { &mut *tab }.call(kind, now, [a, b, c], first, second)
}

/// Everything to do now, as a CBOR array whose last item is the wait. It stays until the next poll.
///
/// # Safety
/// `tab` is from [`tab_make`] and not over.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn tab_poll(tab: *mut Tab) -> *const u8 {
    // SAFETY: the caller's promise.
    unsafe { &mut *tab }.poll().as_ptr()
}

/// The length of what the last poll returned.
///
/// # Safety
/// `tab` is from [`tab_make`] and not over.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn tab_size(tab: *const Tab) -> usize {
    // SAFETY: the caller's promise.
    unsafe { &*tab }.size()
}
