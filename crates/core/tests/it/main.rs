//! The machines from outside: folds cut in every way, and the engine against a small model of a server.

mod fold;
mod model;
mod session;
mod window;
