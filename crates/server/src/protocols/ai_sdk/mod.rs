//! The AI SDK's chat protocol: what `useChat` of its versions 5, 6 and 7 asks, unchanged, over this server's threads and
//! runs. A chat is a thread.
//!
//! | file      | what it does                                                                          |
//! |-----------|---------------------------------------------------------------------------------------|
//! | `request` | takes apart what a client sends: of the history the last message and whom it follows  |
//! | `turn`    | makes a write of it: append, fork, edit or a new answer; finds the run that is live   |
//! | `words`   | the SDK's chunks of what a run says, in an order that none of the versions stumbles on|
//! | `answer`  | an answer from its beginning: replayed, then live, then how it ended                  |
//! | `http`    | the three routes over server-sent events                                              |
//! | `socket`  | the same over one WebSocket (version 7)                                               |
//!
//! The server holds the history, so nothing of what clients send along as history is believed or stored. Leaving is not
//! stopping: a reader that goes away stops nothing, and one that comes back gets the answer from its beginning.

mod answer;
mod http;
mod request;
mod socket;
mod turn;
mod words;

pub(crate) use http::{resume, send, stop};
pub(crate) use socket::upgrade;
