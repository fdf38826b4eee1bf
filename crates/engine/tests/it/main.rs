//! The engine with providers over real sockets.

mod provider;
mod scripted;
