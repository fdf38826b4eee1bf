//! A page as lines of words of a given width: what is drawn on a terminal and what is printed into a pipe.

use super::words::{Tone, Word};

/// The bars of a small chart, the lowest first.
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// Columns of a chart's name and of its number.
const NAME: usize = 20;
const NUMBER: usize = 12;
/// A column of a table is not made narrower than this.
const NARROWEST: usize = 4;

/// One line.
pub(super) type Line = Vec<Word>;

/// The last hour of a number, or as much as fits.
#[derive(Debug, Clone)]
pub(super) struct Chart {
    pub(super) name: &'static str,
    pub(super) number: Word,
    pub(super) points: Vec<Option<f64>>,
}

/// A piece of a page.
#[derive(Debug, Clone)]
pub(super) enum Block {
    Line(Line),
    /// A text, as many lines as it needs, so far from the edge.
    Text(usize, Word),
    /// Names of columns, one that begins with `>` for numbers, and rows.
    Table(&'static [&'static str], Vec<Line>),
    Chart(Chart),
}

/// Blocks as lines of at most `width` columns.
pub(super) fn lines(blocks: &[Block], width: usize) -> Vec<Line> {
    blocks.iter().flat_map(|block| block_lines(block, width)).collect()
}

fn block_lines(block: &Block, width: usize) -> Vec<Line> {
    match block {
        Block::Line(line) => vec![fitted(line, width)],
        Block::Text(indent, word) => {
            let edge = || Word::plain(&" ".repeat(*indent));
            word.wrapped(width.saturating_sub(*indent)).into_iter().map(|word| vec![edge(), word]).collect()
        }
        Block::Table(head, rows) => table(head, rows, width),
        Block::Chart(chart) => vec![chart_line(chart, width)],
    }
}

/// As many words of a line as fit.
fn fitted(line: &Line, width: usize) -> Line {
    let mut left = width;
    let mut fitted = Line::new();
    for word in line {
        let cut = word.cut(left);
        left = left.saturating_sub(cut.width());
        fitted.push(cut);
        if left == 0 {
            break;
        }
    }
    fitted
}

fn padded(word: &Word, columns: usize, is_number: bool) -> Word {
    let cut = word.cut(columns);
    let blanks = " ".repeat(columns.saturating_sub(cut.width()));
    let text = if is_number { format!("{blanks}{}", cut.text()) } else { format!("{}{blanks}", cut.text()) };
    Word::new(&text, word.tone)
}

fn table(head: &[&str], rows: &[Line], width: usize) -> Vec<Line> {
    if rows.is_empty() {
        return vec![vec![Word::dim("  none")]];
    }
    let name = |column: &str| Word::dim(column.trim_start_matches('>'));
    let heads: Line = head.iter().map(|column| name(column)).collect();
    let widest = |at: usize| rows.iter().chain([&heads]).filter_map(|row| row.get(at)).map(Word::width).max();
    let mut columns: Vec<usize> = (0..head.len()).map(|at| widest(at).unwrap_or_default()).collect();
    // The widest gives way first: it is an id or a name.
    while columns.iter().sum::<usize>() + 2 * columns.len() > width {
        let Some(most) = columns.iter_mut().max().filter(|most| **most > NARROWEST) else { break };
        *most -= 1;
    }
    let line = |row: &Line| {
        let cells = row.iter().zip(&columns).zip(head);
        let cells = cells
            .flat_map(|((word, columns), head)| [Word::plain("  "), padded(word, *columns, head.starts_with('>'))]);
        fitted(&cells.collect(), width)
    };
    std::iter::once(&heads).chain(rows).map(line).collect()
}

fn chart_line(chart: &Chart, width: usize) -> Line {
    let room = width.saturating_sub(2 + NAME + NUMBER + 2);
    let bars = Word::new(&bars(&chart.points, room), Tone::Dim);
    vec![
        Word::plain("  "),
        padded(&Word::plain(chart.name), NAME, false),
        padded(&chart.number, NUMBER, true),
        Word::plain("  "),
        bars,
    ]
}

/// The newest points that fit, from nothing to the highest of them. Where nothing was measured nothing is drawn.
fn bars(points: &[Option<f64>], room: usize) -> String {
    let points = &points[points.len().saturating_sub(room)..];
    let most = points.iter().flatten().copied().fold(0.0_f64, f64::max);
    let bar = |point: &Option<f64>| match point {
        None => ' ',
        Some(point) if most <= 0.0 || *point <= 0.0 => BARS[0],
        Some(point) => {
            let share = (point / most).clamp(0.0, 1.0);
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is from 0 to 7")]
            let at = (share * 7.0).round() as usize;
            BARS[at.min(7)]
        }
    };
    points.iter().map(bar).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(lines: &[Line]) -> Vec<String> {
        let line = |line: &Line| line.iter().map(Word::text).collect::<String>().trim_end().to_owned();
        lines.iter().map(line).collect()
    }

    #[test]
    fn a_table_fits_its_width_and_its_widest_column_gives_way() {
        let row = |id: &str, count: &str| vec![Word::plain(id), Word::plain(count)];
        let blocks = [Block::Table(&["run", ">chunks"], vec![row("0193-abcdef-0123456789", "7"), row("b", "1200")])];
        assert_eq!(shown(&lines(&blocks, 80))[1], "  0193-abcdef-0123456789       7");
        let narrow = lines(&blocks, 24);
        assert_eq!(
            shown(&narrow),
            ["  run             chunks", "  0193-abcdef-0…       7", "  b                 1200"]
        );
        for width in 0..40 {
            let fits = |line: &Line| line.iter().map(Word::width).sum::<usize>() <= width;
            assert!(lines(&blocks, width).iter().all(fits), "{width}");
        }
        assert_eq!(shown(&lines(&[Block::Table(&["run"], Vec::new())], 80)), ["  none"]);
    }

    #[test]
    fn a_chart_shows_the_newest_and_leaves_gaps() {
        assert_eq!(bars(&[Some(9.0), Some(0.0), None, Some(1.0), Some(2.0)], 4), "▁ ▅█");
        assert_eq!(bars(&[Some(0.0), Some(f64::NAN)], 9), "▁▁");
        assert_eq!(bars(&[], 9), "");
        assert_eq!(bars(&[Some(1.0)], 0), "");
    }
}
