//! Who looked at what is somebody's, and who did what: each a line in the log (code `ops_audit`), one in a file that is only
//! appended to, and one of the newest [`KEPT`] in memory.
//!
//! The file is begun anew past [`LARGEST`] bytes; the one before is kept beside it. A line that cannot be written is an
//! error in the log, and the look goes on: the log has it.

use std::collections::VecDeque;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};
use threadmill_proto::{Millis, json as shape};

/// Entries in memory.
const KEPT: usize = 200;
/// Bytes after which the file is begun anew.
const LARGEST: u64 = 8 << 20;
/// Looks at the same thing within this are one, in milliseconds: five minutes after the last of them it is a new one.
const AGAIN: u64 = 300_000;
/// Letters of a reason that are kept.
const REASON: usize = 500;

/// Something that was looked at or done.
pub(crate) struct Entry<'e> {
    /// When.
    pub(crate) at: Millis,
    /// What: a stable word.
    pub(crate) what: &'static str,
    /// Of what: ids.
    pub(crate) subject: String,
    /// Why, as whoever did it said.
    pub(crate) why: Option<&'e str>,
    /// From which address.
    pub(crate) from: Option<String>,
    /// Whether it passed.
    pub(crate) allowed: bool,
}

/// The entries.
#[derive(Debug, Default)]
pub(crate) struct Audit {
    file: Option<PathBuf>,
    newest: Mutex<VecDeque<Value>>,
    /// When such a look was last.
    looked: Mutex<Option<Millis>>,
}

impl Audit {
    /// Appends to this file, too.
    pub(crate) fn new(file: Option<PathBuf>) -> Self {
        Self { file, ..Self::default() }
    }

    /// Writes an entry of a look, unless the same was looked at from the same address within [`AGAIN`]: a page asks every few
    /// seconds.
    pub(crate) fn look(&self, entry: &Entry<'_>) {
        let again = |known: &Value| {
            known["what"] == entry.what
                && known["subject"] == entry.subject.as_str()
                && known["from"] == json!(entry.from)
        };
        let seen = self.looked.lock().unwrap_or_else(PoisonError::into_inner).replace(entry.at);
        let recent = seen.is_some_and(|seen| entry.at.saturating_sub(seen) < AGAIN);
        let known = recent && self.newest.lock().unwrap_or_else(PoisonError::into_inner).iter().any(again);
        if !known {
            self.write(entry);
        }
    }

    /// Writes an entry. Blocks for as long as a short line takes.
    pub(crate) fn write(&self, entry: &Entry<'_>) {
        let why: Option<String> = entry.why.map(|why| why.chars().take(REASON).collect());
        let (what, subject, allowed) = (entry.what, &entry.subject, entry.allowed);
        let from = entry.from.as_deref().unwrap_or_default();
        let reason = why.as_deref().unwrap_or_default();
        tracing::info!(
            code = "ops_audit",
            what,
            subject,
            why = reason,
            from,
            allowed,
            "looked at or done by an operator"
        );
        let value = json!({
            "at": shape::iso(entry.at), "what": what, "subject": subject, "why": why, "from": entry.from, "allowed": allowed,
        });
        // One at a time, so that the file has whole lines.
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = &self.file
            && let Err(error) = append(file, &value)
        {
            tracing::error!(code = "ops_audit_failed", %error, file = %file.display(), "the audit file could not be written");
        }
        if newest.len() == KEPT {
            newest.pop_front();
        }
        newest.push_back(value);
    }

    /// The newest entries, newest first.
    pub(crate) fn newest(&self) -> Vec<Value> {
        self.newest.lock().unwrap_or_else(PoisonError::into_inner).iter().rev().cloned().collect()
    }
}

fn append(path: &Path, value: &Value) -> std::io::Result<()> {
    if std::fs::metadata(path).is_ok_and(|known| known.len() >= LARGEST) {
        let mut before = path.as_os_str().to_owned();
        before.push(".1");
        std::fs::rename(path, before)?;
    }
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    file.write_all(format!("{value}\n").as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(subject: &str) -> Entry<'_> {
        Entry { at: 5, what: "look", subject: subject.into(), why: Some("a reason"), from: None, allowed: true }
    }

    #[test]
    fn lines_are_appended_and_a_large_file_is_begun_anew() {
        let file = std::env::temp_dir().join(format!("threadmill-audit-{}", std::process::id()));
        let before = PathBuf::from(format!("{}.1", file.display()));
        let audit = Audit::new(Some(file.clone()));
        audit.write(&entry("a"));
        audit.write(&entry("b\n"));
        let text = std::fs::read_to_string(&file).expect("a file");
        let subjects: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        assert_eq!(
            (subjects.len(), &subjects[1]["subject"], &subjects[0]["why"]),
            (2, &json!("b\n"), &json!("a reason"))
        );
        std::fs::write(&file, vec![b'\n'; usize::try_from(LARGEST).expect("a size")]).expect("written");
        audit.write(&entry("c"));
        assert_eq!(std::fs::read_to_string(&file).expect("a file").lines().count(), 1);
        assert_eq!(std::fs::metadata(&before).expect("the one before").len(), LARGEST);
        assert_eq!(audit.newest().len(), 3);
        (0..KEPT).for_each(|_| audit.write(&entry("d")));
        assert_eq!(audit.newest().len(), KEPT);
        std::fs::remove_file(&file).and_then(|()| std::fs::remove_file(&before)).expect("removed");
    }
}
