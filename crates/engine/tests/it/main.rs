//! The engine with providers over real sockets.

mod dialects;
mod provider;
mod scripted;
