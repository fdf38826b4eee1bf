//! What a provider is given of a thread.
//!
//! Words and files of messages, oldest first. Reasoning, tool calls, sources and data parts are not sent: they belong to
//! the run that made them. A message that says nothing is left out, and messages of one speaker that then follow each
//! other become one turn, since strict endpoints refuse both. What a question has in files goes to the provider, which sends or
//! refuses them.

use threadmill_proto::{Message, MessageStatus, Part, Role};

use crate::providers::{Piece, Turn};

/// Whether the messages are all there were before the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum History {
    /// They are.
    Whole,
    /// Older ones did not fit.
    Cut,
}

/// The turns that messages make. Of a history that was cut an answer without its question is left out: strict endpoints
/// refuse what does not begin with a question, and of an even number of messages every other one would be an answer.
pub(crate) fn turns(messages: &[Message], history: History) -> Vec<Turn> {
    let mut turns: Vec<Turn> = Vec::new();
    for message in messages.iter().filter(|message| message.status != MessageStatus::Removed) {
        let pieces = pieces(message);
        match turns.last_mut() {
            _ if pieces.is_empty() => {}
            Some(last) if last.role == message.role => last.pieces.extend(pieces),
            _ => turns.push(Turn { role: message.role, pieces }),
        }
    }
    if history == History::Cut && turns.len() > 1 && turns[0].role == Role::Assistant {
        turns.remove(0);
    }
    turns
}

/// Whether the newest message, if it is a question, asks anything: without it the answer before it would be answered.
pub(crate) fn asks(messages: &[Message]) -> bool {
    let newest = messages.iter().rfind(|message| message.status != MessageStatus::Removed);
    newest.is_none_or(|newest| newest.role != Role::User || !pieces(newest).is_empty())
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
    use threadmill_proto::{BranchId, MessageId};

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
        let said = turns(
            &[
                user("one"),
                message(Role::Assistant, MessageStatus::Stopped, vec![]),
                user("two"),
                message(Role::Assistant, MessageStatus::Stopped, vec![Part::text("\n\n")]),
                user("   "),
                message(Role::Assistant, MessageStatus::Removed, vec![Part::text("gone")]),
                message(Role::Assistant, MessageStatus::Complete, vec![Part::text("three")]),
            ],
            History::Whole,
        );
        let said: Vec<_> = said.iter().map(|turn| (turn.role, turn.text())).collect();
        assert_eq!(said, [(Role::User, "one\n\ntwo".into()), (Role::Assistant, "three".into())]);
        assert_eq!(turns(&[user(" ")], History::Whole), []);
    }

    #[test]
    fn a_blank_question_asks_nothing_whatever_came_before() {
        let say = |role: Role, text: &str| message(role, MessageStatus::Complete, vec![Part::text(text)]);
        let before = [say(Role::User, "one"), say(Role::Assistant, "two")];
        let then = |newest: Message| asks(&[before.as_slice(), &[newest]].concat());
        assert!(asks(&before) && asks(&[]) && then(say(Role::User, "three")));
        assert!(!then(say(Role::User, " \n")));
        assert!(then(message(Role::User, MessageStatus::Removed, vec![])));
    }

    #[test]
    fn a_history_that_was_cut_begins_with_a_question() {
        let say = |role: Role| message(role, MessageStatus::Complete, vec![Part::text("x")]);
        let roles = |messages: &[Message], history: History| -> Vec<Role> {
            turns(messages, history).iter().map(|turn| turn.role).collect()
        };
        let all = [say(Role::Assistant), say(Role::User), say(Role::Assistant), say(Role::User)];
        assert_eq!(roles(&all, History::Cut), [Role::User, Role::Assistant, Role::User]);
        // One that an app begins with a greeting is as it is.
        assert_eq!(roles(&all, History::Whole).len(), 4);
        assert_eq!(roles(&all[..1], History::Cut), [Role::Assistant]);
    }

    #[test]
    fn files_stay_where_they_are() {
        let parts = vec![Part::text("a"), file(), Part::text(" "), Part::text("b")];
        let said = turns(
            &[
                message(Role::User, MessageStatus::Complete, vec![file()]),
                message(Role::User, MessageStatus::Complete, parts),
            ],
            History::Whole,
        );
        let file =
            Piece::File { media_type: "image/png".into(), url: "data:,x".into(), filename: Some("a.png".into()) };
        let text = |text: &str| Piece::Text(text.into());
        assert_eq!(said.len(), 1);
        assert_eq!(said[0].pieces, [file.clone(), text("a"), file, text(" b")]);
    }
}
