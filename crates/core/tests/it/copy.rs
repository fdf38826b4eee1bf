//! A host's copy of a view, built from patches alone, and what must be true of the two.

use crate::model::Server;
use std::collections::HashMap;
use threadmill_core::window::{MAX_ROWS, Patch, Phase, Row, View, text_of};
use threadmill_proto::{MessageId, MessageStatus, Part};

/// Rows and streams as a host builds them from patches alone.
#[derive(Default)]
pub(crate) struct Copy {
    rows: Vec<Row>,
    streams: HashMap<MessageId, Vec<Part>>,
    /// The newest revision seen of each message.
    revs: HashMap<MessageId, u64>,
}

impl Copy {
    pub(crate) fn apply(&mut self, patch: Patch) {
        match patch {
            Patch::Reset(rows) => {
                self.streams.clear();
                self.open(&rows);
                self.rows = rows;
            }
            Patch::Prepend(rows) => {
                self.open(&rows);
                self.rows.splice(..0, rows);
            }
            Patch::Append(rows) => {
                self.open(&rows);
                self.rows.extend(rows);
            }
            Patch::DropFirst(count) => drop(self.rows.drain(..count)),
            Patch::DropLast(count) => self.rows.truncate(self.rows.len() - count),
            Patch::Update(row) => {
                if row.run.is_none() {
                    self.streams.remove(&row.message.id);
                }
                let held = self.rows.iter_mut().find(|held| held.message.id == row.message.id);
                *held.expect("a row that is held") = *row;
            }
            Patch::Remove(id) => self.rows.retain(|row| row.message.id != id),
            Patch::Text { message, part, delta } => {
                let parts = self.streams.get_mut(&message).expect("an open stream");
                match &mut parts[part] {
                    Part::Text { text, .. } | Part::Reasoning { text, .. } => text.push_str(&delta),
                    other => panic!("{other:?} takes no text"),
                }
            }
            Patch::Part { message, part, value } => {
                let parts = self.streams.get_mut(&message).expect("an open stream");
                assert!(part <= parts.len(), "part {part} of {}", parts.len());
                drop(parts.splice(part..parts.len().min(part + 1), [*value]));
            }
            Patch::Head(_) | Patch::Loaded { .. } | Patch::Stayed(_) => {}
        }
    }

    fn open(&mut self, rows: &[Row]) {
        for row in rows.iter().filter(|row| row.run.is_some()) {
            self.streams.insert(row.message.id.clone(), row.message.parts.clone());
        }
    }

    fn parts<'a>(&'a self, row: &'a Row) -> &'a [Part] {
        let stream = self.streams.get(&row.message.id).filter(|_| row.run.is_some());
        stream.unwrap_or(&row.message.parts)
    }

    /// What holds at every moment: bounds, order, and that the patches have built the view's rows.
    pub(crate) fn bounded(&mut self, view: &View) {
        assert!(view.rows().len() <= MAX_ROWS);
        let depths: Vec<u64> = view.rows().map(|row| row.message.depth).collect();
        assert!(depths.is_sorted_by(|a, b| a < b), "{depths:?}");
        let head = view.head();
        assert!(depths.iter().all(|depth| (head.from..head.to).contains(depth)), "{depths:?} in {head:?}");
        let copied: Vec<&Row> = self.rows.iter().collect();
        assert_eq!(copied, view.rows().collect::<Vec<_>>(), "the patches built other rows");
        assert_eq!(head.run.is_some(), view.rows().any(|row| row.run.is_some()), "a run without its row");
        for row in view.rows() {
            assert_eq!(Some(self.parts(row)), view.parts(&row.message.id), "the patches built other parts");
            let seen = self.revs.entry(row.message.id.clone()).or_default();
            assert!(*seen <= row.message.rev, "{} went back from {seen}", row.message.id);
            *seen = row.message.rev;
        }
    }

    /// What holds when it is quiet: the view holds exactly what the server has in its range.
    pub(crate) fn true_window(&self, view: &View, server: &Server) {
        let head = view.head();
        assert_eq!(head.phase, Phase::Ready);
        assert_eq!(head.total, server.slots.len() as u64);
        let held = server.slots[head.from as usize..head.to as usize].iter();
        let held: Vec<_> = held.filter(|message| message.status != MessageStatus::Removed).collect();
        assert_eq!(held.len(), view.rows().len(), "rows are missing or too many");
        for (row, truth) in view.rows().zip(held) {
            assert_eq!((&row.message.id, row.message.rev, row.message.status), (&truth.id, truth.rev, truth.status));
            assert_eq!(row.run.is_some(), truth.status == MessageStatus::Streaming);
            let text = server.text(truth.depth);
            assert_eq!(view.text(&truth.id).as_ref(), Some(&text));
            assert_eq!(text_of(self.parts(row)), text, "the streams say something else");
        }
    }
}
