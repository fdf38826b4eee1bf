//! The machines from outside: folds cut in every way, and the engine against a small model of a server.

mod copy;
mod fold;
mod list;
mod model;
mod outbox;
mod session;
mod tabs;
mod window;
