//! The sync protocol: a conversation with a client in frames, whatever carries them: `socket.rs` a WebSocket, `post.rs`
//! answers to POST.

mod frames;
mod post;
mod session;
mod socket;

pub(crate) use post::post;
pub(crate) use socket::upgrade;
