//! Checks of this machine and of a configuration: what `verify --pre` and `doctor` look at. No server is asked for anything.

pub(crate) mod doctor;
mod machine;
mod services;
mod settings;
mod system;
mod table;

pub(crate) use machine::Machine;
pub(crate) use table::{DOCTOR, PRE};
