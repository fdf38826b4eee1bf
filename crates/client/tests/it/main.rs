//! The native client against the real server, in one process, over real sockets on which anything can happen.

mod calls;
mod credentials;
mod flags;
mod live;
mod outbox;
mod resting;
mod transports;
mod wire;
mod world;
