//! The blocks of a text: paragraphs, lists, quotations, tables, code.

use crate::inline::{self, Run, without_quote_marks};
use crate::ops::{Op, Rendered};
use pulldown_cmark::{Alignment, CodeBlockKind, Event, Options, Parser, Tag, TagEnd};
use std::ops::Range;

pub use crate::inline::MOST_INLINE;

/// Blocks inside each other; what lies deeper is text as it was written. People read three or four.
pub const DEEPEST: usize = 32;

/// What to draw for `source`. Takes memory in proportion to it, and nearly always time.
#[must_use]
pub fn render(source: &str) -> Rendered {
    let options =
        Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TASKLISTS | Options::ENABLE_MATH;
    let mut writer = Writer {
        source,
        out: Rendered::default(),
        run: Run::new(),
        depth: 0,
        quotes: 0,
        empty_cells: 0,
        literal: None,
        skipping: 0,
    };
    for (event, range) in Parser::new_ext(source, options).into_offset_iter() {
        writer.take(event, range);
    }
    writer.flush();
    writer.out
}

/// A block whose content is no Markdown, while its lines arrive.
struct Literal {
    info: Option<String>,
    text: String,
}

struct Writer<'s> {
    source: &'s str,
    out: Rendered,
    /// What one paragraph has so far.
    run: Run<'s>,
    depth: usize,
    quotes: usize,
    /// Cells of this row that had nothing in them, and were not written.
    empty_cells: usize,
    literal: Option<Literal>,
    /// How many blocks are open that are not written, since they lie too deep.
    skipping: usize,
}

impl<'s> Writer<'s> {
    fn take(&mut self, event: Event<'s>, range: Range<usize>) {
        if self.skipping > 0 {
            return self.skip(&event);
        }
        match event {
            Event::Start(tag) if is_inline(&tag) => self.run.push((Event::Start(tag), range)),
            Event::Start(tag) => self.start(tag, range),
            Event::End(tag) if is_inline_end(tag) => self.run.push((Event::End(tag), range)),
            Event::End(tag) => self.end(tag),
            Event::Rule => {
                self.flush();
                self.out.op(Op::Rule);
            }
            Event::Text(text) | Event::Html(text) if self.literal.is_some() => {
                if let Some(literal) = &mut self.literal {
                    literal.text.push_str(&text);
                }
            }
            Event::Text(_)
            | Event::Html(_)
            | Event::Code(_)
            | Event::InlineMath(_)
            | Event::DisplayMath(_)
            | Event::InlineHtml(_)
            | Event::FootnoteReference(_)
            | Event::SoftBreak
            | Event::HardBreak
            | Event::TaskListMarker(_) => self.run.push((event, range)),
        }
    }

    fn skip(&mut self, event: &Event<'_>) {
        match event {
            Event::Start(_) => self.skipping += 1,
            Event::End(_) => self.skipping -= 1,
            Event::Text(_)
            | Event::Html(_)
            | Event::Code(_)
            | Event::InlineMath(_)
            | Event::DisplayMath(_)
            | Event::InlineHtml(_)
            | Event::FootnoteReference(_)
            | Event::SoftBreak
            | Event::HardBreak
            | Event::Rule
            | Event::TaskListMarker(_) => {}
        }
    }

    fn start(&mut self, tag: Tag<'s>, range: Range<usize>) {
        self.flush();
        if self.depth >= DEEPEST {
            self.skipping = 1;
            let written = without_quote_marks(self.source.get(range).unwrap_or_default(), self.quotes);
            return self.out.with_texts(Op::Text, [&written]);
        }
        self.depth += 1;
        match tag {
            Tag::Paragraph => self.out.op(Op::Paragraph),
            Tag::Heading { level, .. } => self.out.with_number(Op::Heading, level as u32),
            Tag::BlockQuote(_) => {
                self.quotes += 1;
                self.out.op(Op::Quote);
            }
            Tag::CodeBlock(CodeBlockKind::Fenced(info)) => self.literal(Some(info.into_string())),
            Tag::CodeBlock(CodeBlockKind::Indented) => self.literal(Some(String::new())),
            Tag::HtmlBlock | Tag::MetadataBlock(_) => self.literal(None),
            Tag::List(None) => self.out.op(Op::BulletList),
            Tag::List(Some(first)) => {
                self.out.with_number(Op::NumberedList, u32::try_from(first).unwrap_or(u32::MAX));
            }
            Tag::Item => self.out.op(Op::Item),
            Tag::Table(columns) => self.table(&columns),
            Tag::TableHead => self.row(Op::TableHead),
            Tag::TableRow => self.row(Op::TableRow),
            // Written when it turns out to hold something.
            Tag::TableCell => {}
            // Of options that are not on.
            Tag::FootnoteDefinition(_)
            | Tag::DefinitionList
            | Tag::DefinitionListTitle
            | Tag::DefinitionListDefinition => self.out.op(Op::Paragraph),
            Tag::Emphasis
            | Tag::Strong
            | Tag::Strikethrough
            | Tag::Superscript
            | Tag::Subscript
            | Tag::Link { .. }
            | Tag::Image { .. } => {}
        }
    }

    fn literal(&mut self, info: Option<String>) {
        self.literal = Some(Literal { info, text: String::new() });
    }

    fn table(&mut self, columns: &[Alignment]) {
        self.out.with_number(Op::Table, u32::try_from(columns.len()).unwrap_or(u32::MAX));
        self.out.ops.extend(columns.iter().map(|alignment| match alignment {
            Alignment::None => 0,
            Alignment::Left => 1,
            Alignment::Center => 2,
            Alignment::Right => 3,
        }));
    }

    fn row(&mut self, op: Op) {
        self.empty_cells = 0;
        self.out.op(op);
    }

    fn end(&mut self, tag: TagEnd) {
        self.depth -= 1;
        match tag {
            TagEnd::TableCell => return self.end_cell(),
            TagEnd::CodeBlock | TagEnd::HtmlBlock | TagEnd::MetadataBlock(_) => return self.end_literal(),
            TagEnd::BlockQuote(_) => {
                self.flush();
                self.quotes -= 1;
            }
            TagEnd::Paragraph
            | TagEnd::Heading(_)
            | TagEnd::List(_)
            | TagEnd::Item
            | TagEnd::Table
            | TagEnd::TableHead
            | TagEnd::TableRow
            | TagEnd::FootnoteDefinition
            | TagEnd::DefinitionList
            | TagEnd::DefinitionListTitle
            | TagEnd::DefinitionListDefinition
            | TagEnd::Emphasis
            | TagEnd::Strong
            | TagEnd::Strikethrough
            | TagEnd::Superscript
            | TagEnd::Subscript
            | TagEnd::Link
            | TagEnd::Image => self.flush(),
        }
        self.out.op(Op::Close);
    }

    /// A short row of a wide table is filled with empty cells by the parser, up to many times the text: those at its
    /// end are not written.
    fn end_cell(&mut self) {
        if self.run.is_empty() {
            self.empty_cells += 1;
            return;
        }
        for _ in 0..std::mem::take(&mut self.empty_cells) {
            self.out.op(Op::TableCell);
            self.out.op(Op::Close);
        }
        self.out.op(Op::TableCell);
        self.flush();
        self.out.op(Op::Close);
    }

    fn end_literal(&mut self) {
        let Some(Literal { info, text }) = self.literal.take() else { return };
        match info {
            Some(info) => self.out.with_texts(Op::CodeBlock, [&info, text.strip_suffix('\n').unwrap_or(&text)]),
            None => self.out.with_texts(Op::RawBlock, [text.trim_end()]),
        }
    }

    fn flush(&mut self) {
        if !self.run.is_empty() {
            inline::write(&mut self.out, self.source, std::mem::take(&mut self.run), self.quotes);
        }
    }
}

fn is_inline(tag: &Tag<'_>) -> bool {
    is_inline_end(tag.to_end())
}

fn is_inline_end(tag: TagEnd) -> bool {
    matches!(
        tag,
        TagEnd::Emphasis
            | TagEnd::Strong
            | TagEnd::Strikethrough
            | TagEnd::Superscript
            | TagEnd::Subscript
            | TagEnd::Link
            | TagEnd::Image
    )
}
