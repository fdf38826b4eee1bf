//! What a provider is given of a thread.
//!
//! Words and files of messages, oldest first. Reasoning, tool calls, sources and data parts of answers are not sent: they
//! belong to the run that made them. A message that says nothing is left out, and messages of one speaker that then follow
//! each other become one turn, since strict endpoints refuse both. What a question has in files goes to the provider,
//! which sends or refuses them.
//!
//! Nothing of a question is left out unsaid. A part of a kind that this version does not know is refused, since it may be
//! what the question is about; in the history it is named in its place. Data parts, and what else only an answer should
//! have, are left out, and the answer names them in its warnings.

use threadmill_proto::{Message, MessageStatus, Part, Role, is_blank, is_hidden};

use crate::providers::{Failure, Piece, ProviderError, Turn};

/// Kinds of parts that one warning names.
const NAMED: usize = 8;
/// Characters of a kind that are shown.
const KIND_CHARS: usize = 80;

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

/// What the answer must say of the newest message, if that is a question: that parts of it are not sent.
///
/// # Errors
/// It asks nothing (without it the answer before it would be answered), or has a part that cannot be sent.
pub(crate) fn check_question(messages: &[Message]) -> Result<Vec<String>, ProviderError> {
    let newest = messages.iter().rfind(|message| message.status != MessageStatus::Removed);
    let Some(question) = newest.filter(|newest| newest.role == Role::User) else { return Ok(Vec::new()) };
    if let Some(kind) = question.parts.iter().find_map(unknown) {
        let why = format!("The part of type “{kind}” cannot be sent to this provider.");
        return Err(ProviderError::new(Failure::UnsupportedPart, why));
    }
    let mut kinds: Vec<String> = Vec::new();
    for kind in question.parts.iter().filter_map(left_out) {
        if kinds.len() < NAMED && !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    let kinds = kinds.join("”, “");
    if pieces(question).is_empty() {
        let why = match kinds.as_str() {
            "" => "The question has neither text nor a file to ask the model about.".to_owned(),
            _ => format!(
                "The question has neither text nor a file to ask the model about, and its “{kinds}” is not sent."
            ),
        };
        return Err(ProviderError::new(Failure::NothingToAsk, why));
    }
    Ok(if kinds.is_empty() {
        Vec::new()
    } else {
        vec![format!("Of the question “{kinds}” was not sent to the model.")]
    })
}

/// The kind of a part that nobody knows.
fn unknown(part: &Part) -> Option<String> {
    match part {
        Part::Other { kind, .. } => Some(shown(kind)),
        Part::Text { .. }
        | Part::File { .. }
        | Part::Reasoning { .. }
        | Part::Tool(_)
        | Part::SourceUrl { .. }
        | Part::Data { .. }
        | Part::StepStart => None,
    }
}

/// The kind of a part that is known and goes to no provider.
fn left_out(part: &Part) -> Option<String> {
    match part {
        Part::Data { name, .. } => Some(shown(&format!("data-{name}"))),
        Part::Reasoning { .. } => Some("reasoning".into()),
        Part::Tool(tool) => Some(shown(&format!("tool-{}", tool.name))),
        Part::SourceUrl { .. } => Some("source-url".into()),
        Part::Text { .. } | Part::File { .. } | Part::StepStart | Part::Other { .. } => None,
    }
}

/// A word of a message as it may stand in a sentence.
fn shown(kind: &str) -> String {
    kind.chars().filter(|char| !char.is_control() && !is_hidden(*char)).take(KIND_CHARS).collect()
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
            Part::Other { kind, .. } => Piece::Unknown { kind: shown(kind) },
            Part::Reasoning { .. } | Part::Tool(_) | Part::SourceUrl { .. } | Part::Data { .. } | Part::StepStart => {
                continue;
            }
        };
        append(&mut pieces, piece);
    }
    pieces.retain(|piece| !matches!(piece, Piece::Text(text) if is_blank(text)));
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
    use threadmill_proto::{BranchId, JsonText, MessageId};

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
        assert_eq!(turns(&[user(" "), user("\u{200b}\u{feff}")], History::Whole), []);
    }

    #[test]
    fn a_blank_question_asks_nothing_whatever_came_before() {
        let say = |role: Role, text: &str| message(role, MessageStatus::Complete, vec![Part::text(text)]);
        let before = [say(Role::User, "one"), say(Role::Assistant, "two")];
        let then = |newest: Message| check_question(&[before.as_slice(), &[newest]].concat()).map_err(|why| why.code);
        assert_eq!(check_question(&before), Ok(vec![]));
        assert_eq!(check_question(&[]), Ok(vec![]));
        assert_eq!(then(say(Role::User, "three")), Ok(vec![]));
        for blank in [" \n", "\u{200b}", "\u{feff} \u{2060}"] {
            assert_eq!(then(say(Role::User, blank)), Err(Failure::NothingToAsk), "{blank:?}");
        }
        assert_eq!(then(message(Role::User, MessageStatus::Removed, vec![])), Ok(vec![]));
    }

    #[test]
    fn no_part_of_a_question_is_left_out_unsaid() {
        let data = || Part::Data { name: "place".into(), id: None, data: JsonText("[1]".into()) };
        let image = || Part::Other { kind: "ima\u{202e}ge".into(), json: JsonText("{\"type\":\"image\"}".into()) };
        let ask = |parts: Vec<Part>| message(Role::User, MessageStatus::Complete, parts);
        let warned = check_question(&[ask(vec![Part::text("where?"), data(), data()])]).expect("it asks");
        assert_eq!(warned, ["Of the question “data-place” was not sent to the model."]);
        let refused = check_question(&[ask(vec![Part::text("what?"), image()])]).expect_err("it is refused");
        assert_eq!(refused.code, Failure::UnsupportedPart);
        assert_eq!(refused.detail, "The part of type “image” cannot be sent to this provider.");
        let nothing = check_question(&[ask(vec![data()])]).expect_err("it asks nothing");
        assert!(nothing.code == Failure::NothingToAsk && nothing.detail.contains("data-place"), "{nothing}");
        // What is behind it is named where it was.
        let said = turns(&[ask(vec![Part::text("what?"), image()]), ask(vec![Part::text("and?")])], History::Whole);
        assert_eq!(said[0].text(), "what?\n\n[image]\n\nand?");
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
