//! Running the server under strace, and reading in the trace what happened before what.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Whether this machine lets a process be traced; if not, the reason is printed and the test has shown nothing.
pub(crate) fn is_possible() -> bool {
    let tried = Command::new("strace").args(["-f", "-o", "/dev/null", "true"]).output();
    match tried {
        Ok(output) if output.status.success() => true,
        Ok(output) => {
            let why = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            println!("SKIPPED: strace may not trace here ({why}), so nothing was shown about syncs.");
            false
        }
        Err(error) => {
            println!("SKIPPED: strace cannot be run ({error}); `apt-get install strace` brings it.");
            false
        }
    }
}

/// The words that put a server under strace, with faults to inject.
pub(crate) fn strace(file: &Path, injections: &[&str]) -> Vec<String> {
    let calls = "trace=read,readv,recvfrom,recvmsg,write,writev,sendto,sendmsg,fdatasync,fsync";
    let mut words: Vec<String> = ["strace", "-f", "-y", "-s", "4096", "-e", calls].map(String::from).into();
    for injection in injections {
        words.extend(["-e".into(), format!("inject={injection}")]);
    }
    words.extend(["-o".into(), file.display().to_string()]);
    words
}

/// A place in the trace: a line's number.
type Place = usize;

/// What a trace shows of one canary.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Where the server had read it.
    pub(crate) read: Option<Place>,
    /// Where the server began to write it to a socket.
    pub(crate) written: Vec<Place>,
    /// Syncs of the store that succeeded: where they began and ended.
    pub(crate) syncs: Vec<(Place, Place)>,
}

impl Seen {
    /// A write to a socket that came before the data was on the disk. `None` if each came after a whole sync that
    /// began after the request was read.
    pub(crate) fn violation(&self) -> Option<String> {
        let read = self.read.expect("the trace shows the request");
        assert!(!self.written.is_empty(), "the trace shows no answer");
        let durable = self.syncs.iter().filter(|(began, _)| *began > read).map(|(_, ended)| *ended).min();
        let early = self.written.iter().find(|written| durable.is_none_or(|durable| **written < durable));
        early.map(|line| format!("read in line {read}, sent in line {line}, durable in line {durable:?}"))
    }
}

/// What a call returned. Notes in brackets may follow it, and blanks come before it.
fn result(line: &str) -> Option<&str> {
    let (_, result) = line.rsplit_once(" = ")?;
    result.split_whitespace().next()
}

/// Reads a finished trace.
pub(crate) fn look_for(file: &PathBuf, canary: &str) -> Seen {
    let bytes = std::fs::read(file).expect("the trace");
    let text = String::from_utf8_lossy(&bytes);
    let mut seen = Seen::default();
    let mut open: Vec<(&str, Place)> = Vec::new();
    for (place, line) in text.lines().enumerate() {
        let (pid, rest) = line.split_once(' ').unwrap_or_default();
        let rest = rest.trim_start();
        if rest.contains(canary) {
            let call = rest.trim_start_matches("<... ").split(['(', ' ']).next().unwrap_or_default();
            if call.starts_with("re") {
                seen.read = seen.read.or(Some(place));
            } else if rest.contains("<socket:") || rest.contains("<TCP") {
                seen.written.push(place);
            }
        }
        let begins = rest.starts_with("fdatasync(") || rest.starts_with("fsync(");
        let resumes = rest.starts_with("<... fdatasync resumed") || rest.starts_with("<... fsync resumed");
        let succeeds = result(rest) == Some("0");
        if begins && rest.contains("threadmill.db") {
            if rest.contains("<unfinished") {
                open.push((pid, place));
            } else if succeeds {
                seen.syncs.push((place, place));
            }
        } else if resumes && let Some(at) = open.iter().position(|(of, _)| *of == pid) {
            let (_, began) = open.swap_remove(at);
            if succeeds {
                seen.syncs.push((began, place));
            }
        }
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::look_for;

    fn violation(lines: &str) -> Option<String> {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), lines).expect("the lines are written");
        look_for(&file.path().to_owned(), "canary").violation()
    }

    #[test]
    fn the_order_of_a_trace_is_understood() {
        let read = "1 recvfrom(9<socket:[1]>, \"canary\", 6, 0, NULL, NULL) = 6\n";
        let sync = "2 fdatasync(4</d/threadmill.db-wal>) = 0\n";
        let sent = "1 writev(9<socket:[1]>, [{\"canary\", 6}], 1) = 6\n";
        assert_eq!(violation(&format!("{read}{sync}{sent}")), None);
        assert!(violation(&format!("{read}{sent}{sync}")).is_some());
        assert!(violation(&format!("{sync}{read}{sent}")).is_some());
        let slow = "2 fdatasync(4</d/threadmill.db-wal> <unfinished ...>\n";
        let done = "2 <... fdatasync resumed>)    = 0 (DELAYED)\n";
        assert_eq!(violation(&format!("{read}{slow}{done}{sent}")), None);
        assert!(violation(&format!("{read}{slow}{sent}{done}")).is_some());
        assert!(violation(&format!("{slow}{read}{done}{sent}")).is_some());
        let failed = "2 fdatasync(4</d/threadmill.db-wal>) = -1 EIO (Input/output error) (INJECTED)\n";
        assert!(violation(&format!("{read}{failed}{sent}")).is_some());
    }
}
