//! Markdown of a message as a compact list of what to draw. What is drawn, and with which elements, is the caller's:
//! nothing here makes HTML, and no text of a message is ever read as HTML.
//!
//! The dialect is CommonMark with tables, strikethrough, task lists and bare web addresses. Formulas (`$…$`, `\(…\)`,
//! `\[…\]`) are recognised and handed on as the text they are, backslashes included. The parser is pulldown-cmark,
//! which works in time linear in its input but for a few shapes (deep lists above many blank lines); whoever renders
//! text of strangers bounds its work from outside, as the browser's module does by counting it.
//!
//! What comes out is bounded by what goes in: nesting ends at [`DEEPEST`], the elements of one paragraph at
//! [`MOST_INLINE`], and what lies beyond is text as it was written.

mod addresses;
mod formula;
mod inline;
mod ops;
mod render;

pub use ops::{Op, Rendered};
pub use render::{DEEPEST, MOST_INLINE, render};
