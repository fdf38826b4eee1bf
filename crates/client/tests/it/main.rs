//! The native client against the real server, in one process, over a real socket that can be cut.

mod cut;
mod live;
mod world;
