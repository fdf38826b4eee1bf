//! The letters of one paragraph, heading or cell: text, emphasis, links, code, formulas.

use crate::addresses::{Piece, pieces};
use crate::formula::Formulas;
use crate::ops::{Op, Rendered};
use pulldown_cmark::{CowStr, Event, LinkType, Tag};
use std::ops::Range;

/// Elements of one paragraph; what follows the last is text as it was written. Text of people has some dozens.
pub const MOST_INLINE: usize = 1_000;
/// Elements inside each other; what lies deeper is text as it was written.
const DEEPEST: usize = 24;

/// What the parser says of one paragraph, with the bytes of the source each stands for.
pub(crate) type Run<'s> = Vec<(Event<'s>, Range<usize>)>;

/// Writes a run. `quotes` is how many quotations it lies in, whose marks begin each line of the source.
pub(crate) fn write(out: &mut Rendered, source: &str, run: Run<'_>, quotes: usize) {
    let (start, end) =
        run.iter().fold((usize::MAX, 0), |(start, end), (_, range)| (start.min(range.start), end.max(range.end)));
    let line = Line {
        out,
        source,
        quotes,
        end,
        formulas: Formulas::new(end),
        words: String::new(),
        open: Vec::new(),
        links: 0,
        image: None,
        elements: 0,
        // A backslash right before the first letter escapes it: no block is marked by one.
        at: start.saturating_sub(1),
        until: 0,
    };
    line.write(run);
}

/// An image whose words are being collected.
struct Image {
    address: String,
    words: String,
    /// How many elements were open where it began.
    opened: usize,
}

/// What an open tag of the source became.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Opened {
    Element,
    Link,
    Image,
    /// It was not written: its content stands in what is open around it.
    Nothing,
}

struct Line<'o, 's> {
    out: &'o mut Rendered,
    source: &'s str,
    quotes: usize,
    end: usize,
    formulas: Formulas,
    /// Letters that are not written yet: neighbours become one text.
    words: String,
    open: Vec<Opened>,
    links: usize,
    image: Option<Image>,
    elements: usize,
    /// The source up to here is accounted for.
    at: usize,
    /// The source up to here was written as it is: what the parser makes of it is passed over.
    until: usize,
}

impl Line<'_, '_> {
    fn write(mut self, run: Run<'_>) {
        for (event, range) in run {
            let next = if matches!(event, Event::Start(_)) { range.start } else { range.end };
            if range.start < self.until {
                self.pass_over(&event, &range);
            } else {
                self.take(event, range);
            }
            self.at = self.at.max(next);
        }
        while let Some(opened) = self.open.pop() {
            self.close(opened);
        }
        self.flush();
    }

    /// An event of what was already written as source; one that reaches beyond it is written from there on.
    fn pass_over(&mut self, event: &Event<'_>, range: &Range<usize>) {
        match event {
            Event::Start(_) => self.open.push(Opened::Nothing),
            Event::End(_) => self.end_tag(),
            Event::Text(_)
            | Event::Code(_)
            | Event::InlineMath(_)
            | Event::DisplayMath(_)
            | Event::Html(_)
            | Event::InlineHtml(_)
            | Event::FootnoteReference(_)
            | Event::SoftBreak
            | Event::HardBreak
            | Event::Rule
            | Event::TaskListMarker(_) => {
                if range.end > self.until {
                    self.as_written(self.until..range.end);
                }
            }
        }
    }

    fn take(&mut self, event: Event<'_>, range: Range<usize>) {
        match event {
            Event::Start(tag) => self.start(tag, range),
            Event::End(_) => self.end_tag(),
            Event::Text(text) => self.text(&text, &range),
            Event::Code(code) => self.code(&code, &range),
            Event::InlineMath(formula) => self.say(&["$", &formula, "$"]),
            Event::DisplayMath(formula) => self.say(&["$$", &formula, "$$"]),
            Event::Html(text) | Event::InlineHtml(text) | Event::FootnoteReference(text) => self.say(&[&text]),
            Event::SoftBreak => self.say(&["\n"]),
            Event::HardBreak => self.hard_break(&range),
            Event::TaskListMarker(checked) => {
                self.flush();
                self.out.with_number(Op::TaskBox, u32::from(checked));
            }
            Event::Rule => {}
        }
    }

    /// Text; an escaped bracket may begin a formula, which is kept as it was written.
    fn text(&mut self, text: &CowStr<'_>, range: &Range<usize>) {
        let escaped = range.start > self.at && self.source.as_bytes().get(range.start - 1) == Some(&b'\\');
        let formula = if escaped { self.formulas.at(self.source, range.start - 1) } else { None };
        let Some(formula) = formula else { return self.say(&[text]) };
        self.as_written(formula);
        if range.end > self.until {
            self.as_written(self.until..range.end);
        }
    }

    fn code(&mut self, code: &str, range: &Range<usize>) {
        if self.image.is_some() {
            return self.say(&[code]);
        }
        if self.has_room(range) {
            self.flush();
            self.out.with_texts(Op::CodeSpan, [code]);
        }
    }

    fn hard_break(&mut self, range: &Range<usize>) {
        if self.image.is_some() {
            return self.say(&["\n"]);
        }
        if self.has_room(range) {
            self.flush();
            self.out.op(Op::HardBreak);
        }
    }

    fn start(&mut self, tag: Tag<'_>, range: Range<usize>) {
        if self.image.is_some() {
            return self.open.push(Opened::Nothing);
        }
        if self.open.len() >= DEEPEST {
            self.as_written(range);
            return self.open.push(Opened::Nothing);
        }
        if !self.has_room(&range) {
            return self.open.push(Opened::Nothing);
        }
        self.flush();
        let opened = match tag {
            Tag::Emphasis => self.element(Op::Emphasis),
            Tag::Strong => self.element(Op::Strong),
            Tag::Strikethrough => self.element(Op::Strike),
            Tag::Link { link_type, dest_url, title, .. } => self.link(link_type, &dest_url, &title),
            Tag::Image { dest_url, .. } => {
                let opened = self.open.len();
                self.image = Some(Image { address: dest_url.into_string(), words: String::new(), opened });
                Opened::Image
            }
            Tag::Superscript
            | Tag::Subscript
            | Tag::Paragraph
            | Tag::Heading { .. }
            | Tag::BlockQuote(_)
            | Tag::CodeBlock(_)
            | Tag::HtmlBlock
            | Tag::List(_)
            | Tag::Item
            | Tag::FootnoteDefinition(_)
            | Tag::DefinitionList
            | Tag::DefinitionListTitle
            | Tag::DefinitionListDefinition
            | Tag::Table(_)
            | Tag::TableHead
            | Tag::TableRow
            | Tag::TableCell
            | Tag::MetadataBlock(_) => Opened::Nothing,
        };
        self.open.push(opened);
    }

    fn element(&mut self, op: Op) -> Opened {
        self.out.op(op);
        Opened::Element
    }

    fn link(&mut self, kind: LinkType, address: &str, title: &str) -> Opened {
        if kind == LinkType::Email {
            self.out.with_texts(Op::Link, [&format!("mailto:{address}"), title]);
        } else {
            self.out.with_texts(Op::Link, [address, title]);
        }
        self.links += 1;
        Opened::Link
    }

    fn end_tag(&mut self) {
        if let Some(opened) = self.open.pop() {
            self.close(opened);
        }
    }

    fn close(&mut self, opened: Opened) {
        match opened {
            Opened::Nothing => return,
            Opened::Element => self.flush(),
            Opened::Link => {
                self.flush();
                self.links -= 1;
            }
            Opened::Image => {
                let Some(image) = self.image.take_if(|image| image.opened == self.open.len()) else { return };
                return self.out.with_texts(Op::Image, [&image.address, &image.words]);
            }
        }
        self.out.op(Op::Close);
    }

    /// Whether another element may follow. If not, the rest of the run is text as it was written.
    fn has_room(&mut self, range: &Range<usize>) -> bool {
        self.elements += 1;
        if self.elements > MOST_INLINE {
            self.as_written(range.start..self.end);
        }
        self.elements <= MOST_INLINE
    }

    fn as_written(&mut self, range: Range<usize>) {
        self.until = self.until.max(range.end);
        let text = without_quote_marks(self.source.get(range).unwrap_or_default(), self.quotes);
        self.say(&[&text]);
    }

    fn say(&mut self, texts: &[&str]) {
        let words = self.image.as_mut().map_or(&mut self.words, |image| &mut image.words);
        words.extend(texts.iter().copied());
    }

    /// Writes the letters so far; outside links bare addresses become links.
    fn flush(&mut self) {
        let words = std::mem::take(&mut self.words);
        if words.is_empty() {
            return;
        }
        if self.links > 0 || self.elements > MOST_INLINE {
            return self.out.with_texts(Op::Text, [&words]);
        }
        let mut at = 0;
        for piece in pieces(&words) {
            match piece {
                Piece::Words(text) => {
                    at += text.len();
                    self.out.with_texts(Op::Text, [text]);
                }
                Piece::Address { .. } if self.elements >= MOST_INLINE => {
                    return self.out.with_texts(Op::Text, [&words[at..]]);
                }
                Piece::Address { written, www } => {
                    at += written.len();
                    self.elements += 1;
                    let scheme = if www { "http://" } else { "" };
                    self.out.with_texts(Op::Link, [&format!("{scheme}{written}"), ""]);
                    self.out.with_texts(Op::Text, [written]);
                    self.out.op(Op::Close);
                }
            }
        }
    }
}

/// Source over several lines without the `>` that each line after the first begins with.
pub(crate) fn without_quote_marks(source: &str, quotes: usize) -> String {
    if quotes == 0 || !source.contains('\n') {
        return source.to_owned();
    }
    let mut lines = source.split('\n');
    let mut text = lines.next().unwrap_or_default().to_owned();
    for line in lines {
        let mut rest = line;
        for _ in 0..quotes {
            let Some(inner) = rest.trim_start().strip_prefix('>') else { break };
            rest = inner.strip_prefix(' ').unwrap_or(inner);
        }
        text.push('\n');
        text.push_str(rest);
    }
    text
}
