//! What this process makes is its user's alone: directories with mode 0700, files with 0600. What is there already stays as it is.

use rustix::fs::Mode;
use rustix::process::umask;

/// For commands that write data: whatever they make from here on, in whichever library, nobody else can read.
pub(crate) fn from_here_on() {
    umask(Mode::RWXG | Mode::RWXO);
}
