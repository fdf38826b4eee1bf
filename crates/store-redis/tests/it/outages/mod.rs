//! Servers that hang, fail over and hand slots on. They take a minute, so `make test` skips this module by its name and
//! `make prove` runs it.

mod cluster;
mod faults;
mod sentinel;
