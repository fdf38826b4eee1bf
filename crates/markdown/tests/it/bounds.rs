//! Hostile texts: what comes out is bounded by what goes in, and no letter is lost where something was cut off.

use crate::read::tags;
use threadmill_markdown::{DEEPEST, MOST_INLINE, Rendered, render};

const SIZE: usize = 64 * 1024;

fn fill(unit: &str) -> String {
    unit.repeat(SIZE / unit.len())
}

fn half(unit: &str) -> String {
    unit.repeat(SIZE / 2 / unit.len())
}

/// How deep the list nests.
fn depth(rendered: &Rendered) -> usize {
    let (mut at, mut open, mut deepest) = (0, 0_usize, 0);
    while let Some(op) = rendered.ops.get(at) {
        match op {
            0 => open -= 1,
            9..=22 => open += 1,
            _ => {}
        }
        deepest = deepest.max(open);
        let takes = match op {
            1 | 4 | 6 | 8 | 11 | 13 => 1,
            5 | 7 | 22 => 2,
            15 => 1 + rendered.ops.get(at + 1).copied().unwrap_or_default() as usize,
            _ => 0,
        };
        at += 1 + takes;
    }
    deepest
}

#[test]
fn nesting_ends_and_what_is_deeper_is_there_as_it_was_written() {
    let shapes = [">", "- ", "> - ", "1. > * "];
    for shape in shapes {
        let rendered = render(&format!("{}the end", shape.repeat(2_000)));
        assert!(depth(&rendered) <= DEEPEST + 1, "{shape}: {}", depth(&rendered));
        assert!(rendered.text.ends_with("the end"), "{shape}");
    }
    let emphasis = format!("{}the middle{}", "*a ".repeat(3_000), " b*".repeat(3_000));
    let rendered = render(&emphasis);
    assert!(depth(&rendered) <= DEEPEST, "{}", depth(&rendered));
    assert!(rendered.text.contains("the middle"));
}

#[test]
fn a_paragraph_has_so_many_elements_and_then_its_source() {
    let count = MOST_INLINE * 3;
    let rendered = render(&"*a* ".repeat(count));
    let elements = rendered.ops.iter().filter(|op| **op == 19).count();
    assert!((MOST_INLINE - 1..=MOST_INLINE).contains(&elements), "{elements}");
    assert!(rendered.text.ends_with("*a* *a*"), "the rest is as it was written");
    assert_eq!(rendered.text.matches('a').count(), count);
    let addresses = render(&"www.a ".repeat(count));
    assert_eq!(addresses.ops.iter().filter(|op| **op == 22).count(), MOST_INLINE, "addresses are elements too");
    assert_eq!(addresses.text.matches("www.a ").count(), count - 1);
    let breaks = render(&"a  \n".repeat(count));
    assert!(breaks.ops.iter().filter(|op| **op == 2).count() <= MOST_INLINE);
    assert_eq!(breaks.text.matches('a').count(), count);
}

#[test]
fn the_list_is_no_longer_than_a_few_numbers_a_byte() {
    let wide = format!("{}\n{}\n{}", "|a".repeat(8_000), "|-".repeat(8_000), "|\n".repeat(16_000));
    let shapes = [
        wide,
        fill("[a](b)"),
        fill("# a\n"),
        fill("- [x] a\n"),
        fill("a  \n"),
        fill("*_"),
        fill("www.a "),
        fill("\\( \\) "),
        fill("|a|\n|-|\n"),
        fill("$a$ "),
        fill("&amp;"),
        fill("[a]: b\n"),
        format!("[a]: {}\n\n{}", half("x"), half("[a] ")),
    ];
    for source in shapes {
        let rendered = render(&source);
        let shape = source.get(..20).unwrap_or_default();
        assert!(rendered.ops.len() <= 3 * source.len(), "{shape}: {}", rendered.ops.len());
        assert!(rendered.text.len() <= 4 * source.len(), "{shape}: {}", rendered.text.len());
    }
}

#[test]
fn any_text_is_read_to_its_end() {
    // Every cut of what is odd about Markdown, and no panic on any.
    let odd = "> - \\[*a\n\u{301}&#0;`b` ![c](<d\\)> \"e\")\r\n|f|\n|-|\n~~~\n\0[g]: h\n\t$i\\( www.\u{202e}j\\)字😀";
    let cuts: Vec<usize> = odd.char_indices().map(|(at, _)| at).collect();
    for from in &cuts {
        for to in cuts.iter().filter(|to| *to > from) {
            tags(&odd[*from..*to]);
        }
    }
}
