//! What an edit changes: the whole message, or texts in it. Texts are replaced here and not by the client, because a
//! client holds previews of long parts, and numbers in opaque JSON that its language would round.

use std::collections::BTreeMap;

use threadmill_proto::message::Body;
use threadmill_proto::{ErrorCode, Part, Problem};

/// What a message shall say.
#[derive(Debug, Clone)]
pub enum Edit {
    /// This, in place of all it says.
    Whole(Body),
    /// These texts in its text parts, by the part's index. The other parts, their order and the metadata stay.
    Texts(BTreeMap<usize, String>),
    /// This in its only text part.
    OnlyText(String),
}

impl Edit {
    /// The body after the edit of a message that said `before`.
    ///
    /// # Errors
    /// `invalid_parts`: a text is for a part that is none, or it is not said for which of several.
    pub(crate) fn applied_to(self, before: Body) -> Result<Body, Problem> {
        let texts = match self {
            Self::Whole(body) => return Ok(body),
            Self::Texts(texts) => texts,
            Self::OnlyText(text) => BTreeMap::from([(only_text(&before.parts)?, text)]),
        };
        let mut parts = before.parts;
        for (index, new) in texts {
            match parts.get_mut(index) {
                Some(Part::Text { text, .. }) => *text = new,
                Some(_) => return Err(refused(format!("Part {index} of the message is not text."))),
                None => return Err(refused(format!("The message has {} parts, and no part {index}.", parts.len()))),
            }
        }
        Ok(Body { parts, metadata: before.metadata })
    }
}

fn only_text(parts: &[Part]) -> Result<usize, Problem> {
    let mut texts = parts.iter().enumerate().filter(|(_, part)| matches!(part, Part::Text { .. }));
    match (texts.next(), texts.next()) {
        (Some((index, _)), None) => Ok(index),
        (None, _) => Err(refused("The message has no text to replace.".into())),
        (Some(_), Some(_)) => {
            Err(refused("The message has several texts: name the ones to replace in `texts`.".into()))
        }
    }
}

fn refused(detail: String) -> Problem {
    Problem::new(ErrorCode::InvalidParts, detail)
}

#[cfg(test)]
mod tests {
    use threadmill_proto::JsonText;

    use super::*;

    fn text(text: &str) -> Part {
        Part::Text { text: text.into(), extra: Some(JsonText("{\"n\":123456789012345678901234567890}".into())) }
    }

    fn file() -> Part {
        Part::File { media_type: "image/png".into(), url: "data:,".into(), filename: None }
    }

    fn message(parts: Vec<Part>) -> Body {
        Body { parts, metadata: Some(JsonText("{\"m\":1e-999}".into())) }
    }

    fn said(parts: &[Part]) -> Vec<&str> {
        parts.iter().map(|part| if let Part::Text { text, .. } = part { text } else { "(other)" }).collect()
    }

    #[test]
    fn texts_change_and_everything_else_stays() {
        let before = message(vec![text("a"), file(), text("b")]);
        let after = Edit::Texts(BTreeMap::from([(2, "new".into())])).applied_to(before.clone()).expect("an edit");
        assert_eq!(said(&after.parts), ["a", "(other)", "new"]);
        assert_eq!(after.parts[..2], before.parts[..2]);
        assert_eq!(after.metadata, before.metadata);
        let Part::Text { extra, .. } = &after.parts[2] else { panic!("still a text") };
        assert!(extra.is_some(), "what came with the text stays");
    }

    #[test]
    fn an_only_text_needs_no_index() {
        let after = Edit::OnlyText("new".into()).applied_to(message(vec![file(), text("a")])).expect("an edit");
        assert_eq!(said(&after.parts), ["(other)", "new"]);
    }

    #[test]
    fn what_is_not_one_text_is_refused() {
        let code = |edit: Edit, parts| edit.applied_to(message(parts)).expect_err("refused").code;
        let at = |index: usize| Edit::Texts(BTreeMap::from([(index, "x".into())]));
        for (edit, parts) in [
            (Edit::OnlyText("x".into()), vec![text("a"), text("b")]),
            (Edit::OnlyText("x".into()), vec![file()]),
            (at(0), vec![file()]),
            (at(1), vec![text("a")]),
            (at(usize::MAX), vec![text("a")]),
        ] {
            assert_eq!(code(edit, parts), ErrorCode::InvalidParts);
        }
    }
}
