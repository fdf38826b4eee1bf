//! Stub.
use crate::checks::Check;
use std::path::Path;
pub(crate) struct Machine;
impl Machine {
    pub(crate) fn read(_: Option<&Path>) -> Self {
        Self
    }
    pub(crate) fn place(&self) -> String {
        String::new()
    }
}
pub(crate) static PRE: &[Check<Machine>] = &[];
