//! What a provider is given of a thread.
//!
//! Words and files of messages, oldest first. Reasoning, tool calls, sources and data parts are not sent: they belong to
//! the run that made them. A message that says nothing is left out, and messages of one speaker that then follow each
//! other become one turn, since strict endpoints refuse both. What a question has in files goes to the provider, which sends or
//! refuses them.

use threadmill_proto::{Message, MessageStatus, Part};

use super::provider::{Piece, Turn};

/// The turns that messages make.
pub(super) fn turns(messages: &[Message]) -> Vec<Turn> {
    let mut turns: Vec<Turn> = Vec::new();
    for message in messages.iter().filter(|message| message.status != MessageStatus::Removed) {
        let pieces = pieces(message);
        match turns.last_mut() {
            _ if pieces.is_empty() => {}
            Some(last) if last.role == message.role => last.pieces.extend(pieces),
            _ => turns.push(Turn { role: message.role, pieces }),
        }
    }
    turns
}

/// A message's words and files, without words that are blank.
fn pieces(message: &Message) -> Vec<Piece> {
    let mut pieces = Vec::new();
    for part in &message.parts {
        let piece = match part {
            Part::Text { text, .. } => Piece::Text(text.clone()),
            Part::File { media_type, url, filename } => {
                Piece::File { media_type: media_type.clone(), url: url.clone(), filename: filename.clone() }
            }
            Part::Reasoning { .. }
            | Part::Tool(_)
            | Part::SourceUrl { .. }
            | Part::Data { .. }
            | Part::StepStart
            | Part::Other { .. } => continue,
        };
        append(&mut pieces, piece);
    }
    pieces.retain(|piece| !matches!(piece, Piece::Text(text) if text.trim().is_empty()));
    pieces
}

/// Adds a piece; words that follow words in a message are joined.
fn append(pieces: &mut Vec<Piece>, piece: Piece) {
    match (pieces.last_mut(), piece) {
        (Some(Piece::Text(text)), Piece::Text(next)) => text.push_str(&next),
        (_, piece) => pieces.push(piece),
    }
}

#[cfg(test)]
mod tests {
    use threadmill_proto::{BranchId, MessageId, Role};

    use super::*;

    fn message(role: Role, status: MessageStatus, parts: Vec<Part>) -> Message {
        Message {
            id: MessageId::parse("m").expect("an id"),
            role,
            parts,
            metadata: None,
            status,
            branch: BranchId::parse("b").expect("an id"),
            depth: 0,
            rev: 1,
            created_at: 0,
            previews: Vec::new(),
        }
    }

    fn file() -> Part {
        Part::File { media_type: "image/png".into(), url: "data:,x".into(), filename: Some("a.png".into()) }
    }

    #[test]
    fn blank_messages_go_and_turns_of_one_speaker_are_joined() {
        let user = |text: &str| message(Role::User, MessageStatus::Complete, vec![Part::text(text)]);
        let said = turns(&[
            user("one"),
            message(Role::Assistant, MessageStatus::Stopped, vec![]),
            user("two"),
            message(Role::Assistant, MessageStatus::Stopped, vec![Part::text("\n\n")]),
            user("   "),
            message(Role::Assistant, MessageStatus::Removed, vec![Part::text("gone")]),
            message(Role::Assistant, MessageStatus::Complete, vec![Part::text("three")]),
        ]);
        let said: Vec<_> = said.iter().map(|turn| (turn.role, turn.text())).collect();
        assert_eq!(said, [(Role::User, "one\n\ntwo".into()), (Role::Assistant, "three".into())]);
        assert_eq!(turns(&[user(" ")]), []);
    }

    #[test]
    fn files_stay_where_they_are() {
        let parts = vec![Part::text("a"), file(), Part::text(" "), Part::text("b")];
        let said = turns(&[
            message(Role::User, MessageStatus::Complete, vec![file()]),
            message(Role::User, MessageStatus::Complete, parts),
        ]);
        let file =
            Piece::File { media_type: "image/png".into(), url: "data:,x".into(), filename: Some("a.png".into()) };
        let text = |text: &str| Piece::Text(text.into());
        assert_eq!(said.len(), 1);
        assert_eq!(said[0].pieces, [file.clone(), text("a"), file, text(" b")]);
    }
}
