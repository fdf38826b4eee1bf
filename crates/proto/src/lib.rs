//! The vocabulary of Threadmill: what a thread, a message, a change and a frame are.
//!
//! This crate holds data and its encodings. It does no I/O, reads no clock and makes no ids: whoever
//! needs an id or a time passes it in. CBOR (minicbor) is always there; the JSON shapes of the HTTP API
//! are behind the `json` feature, so that the browser core carries no JSON code.

#![cfg_attr(not(any(test, feature = "json")), no_std)]

extern crate alloc;

pub mod blank;
pub mod change;
pub mod chunk;
pub mod cursor;
mod decode;
mod encode;
pub mod error;
pub mod frame;
pub mod id;
#[cfg(feature = "json")]
pub mod json;
pub mod limits;
pub mod message;
mod reader;
pub mod run;
pub mod tab;
pub mod thread;
pub mod title;
pub mod window;
mod writer;

use alloc::vec::Vec;

pub use blank::{is_blank, is_hidden};
pub use change::{Change, Event, Record};
pub use chunk::Chunk;
pub use cursor::{ChainHash, Cursor, Position, StreamOffset};
pub use decode::read;
pub use encode::write;
pub use error::{ErrorCode, Problem};
pub use frame::{ClientFrame, ServerFrame};
pub use id::{BranchId, InvalidId, LockName, MessageId, RunId, Scope, TenantId, ThreadId, UserId};
pub use limits::Limits;
pub use message::{JsonText, Message, MessageStatus, Part, Preview, Role, ToolPart};
pub use run::{Outcome, RunInfo, RunStatus};
pub use tab::{Raw, Relayed, TabFrame};
pub use thread::{Summary, Thread};
pub use title::TitleFilter;
pub use window::{Anchor, Fork, ForkOption, Segment, Window};
pub use writer::Writer;

/// Milliseconds since the Unix epoch. Order never depends on it: order is `seq` and depth.
pub type Millis = u64;

/// Encodes any CBOR value of this crate into a fresh buffer.
pub fn to_cbor<T: minicbor::Encode<()>>(value: &T) -> Vec<u8> {
    match minicbor::to_vec(value) {
        Ok(bytes) => bytes,
        Err(_) => unreachable!("a Vec accepts every write"),
    }
}

/// Decodes one CBOR value that must fill `bytes` exactly.
///
/// # Errors
/// Says what was malformed; trailing bytes are malformed too.
pub fn from_cbor<'b, T: minicbor::Decode<'b, ()>>(bytes: &'b [u8]) -> Result<T, minicbor::decode::Error> {
    let mut decoder = minicbor::Decoder::new(bytes);
    let value = decoder.decode()?;
    if decoder.position() == bytes.len() {
        Ok(value)
    } else {
        Err(minicbor::decode::Error::message("bytes after the end of the value"))
    }
}

/// Decodes a CBOR sequence (RFC 8742): values one after another, without anything between them. It ends after the
/// first that is malformed.
pub fn cbor_sequence<'b, T: minicbor::Decode<'b, ()>>(
    bytes: &'b [u8],
) -> impl Iterator<Item = Result<T, minicbor::decode::Error>> {
    let mut decoder = minicbor::Decoder::new(bytes);
    core::iter::from_fn(move || {
        let left = decoder.position() < bytes.len();
        let value = left.then(|| decoder.decode::<T>());
        if let Some(Err(_)) = value {
            decoder.set_position(bytes.len());
        }
        value
    })
}
