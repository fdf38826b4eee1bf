//! The list of what to draw, and how it is written: numbers in one array, all text in one string.

/// What a number of the list says. `apps/chat/src/markdown/ops.ts` has the same numbers.
///
/// Those from `Paragraph` on are open until their `Close`. A length counts UTF-16 units of the text that is next: all
/// texts follow each other in one string, in the order of the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Op {
    /// Ends what was opened last.
    Close = 0,
    /// `length`: letters.
    Text = 1,
    /// A line ends here because the writer said so.
    HardBreak = 2,
    /// A line across.
    Rule = 3,
    /// `length`: code in a line.
    CodeSpan = 4,
    /// `length, length`: what stands after the fence, and the code.
    CodeBlock = 5,
    /// `length`: a block of HTML, which is shown as the text it is.
    RawBlock = 6,
    /// `length, length`: an image's address and the words for it.
    Image = 7,
    /// `checked`: the box of a task.
    TaskBox = 8,
    /// A paragraph.
    Paragraph = 9,
    /// A quotation.
    Quote = 10,
    /// `level`: a heading, 1 to 6.
    Heading = 11,
    /// A list without numbers.
    BulletList = 12,
    /// `start`: a list with numbers.
    NumberedList = 13,
    /// An item of a list.
    Item = 14,
    /// `columns`, then for each of them 0, or 1 left, 2 centre, 3 right.
    Table = 15,
    /// The first row of a table.
    TableHead = 16,
    /// Another row.
    TableRow = 17,
    /// A cell of a row. Empty cells at the end of a row are left out.
    TableCell = 18,
    /// Emphasis.
    Emphasis = 19,
    /// Strong emphasis.
    Strong = 20,
    /// Text that is struck out.
    Strike = 21,
    /// `length, length`: a link's address, which is not checked here, and its title.
    Link = 22,
}

/// What to draw for a text.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Rendered {
    /// Numbers of [`Op`], each with what it takes.
    pub ops: Vec<u32>,
    /// All letters, in the order in which the list names them.
    pub text: String,
}

impl Rendered {
    pub(crate) fn op(&mut self, op: Op) {
        self.ops.push(op as u32);
    }

    pub(crate) fn with_number(&mut self, op: Op, number: u32) {
        self.ops.extend([op as u32, number]);
    }

    pub(crate) fn with_texts<const N: usize>(&mut self, op: Op, texts: [&str; N]) {
        self.op(op);
        for text in texts {
            self.ops.push(utf16_length(text));
            self.text.push_str(text);
        }
    }
}

fn utf16_length(text: &str) -> u32 {
    let units = if text.is_ascii() { text.len() } else { text.chars().map(char::len_utf16).sum() };
    u32::try_from(units).unwrap_or(u32::MAX)
}
