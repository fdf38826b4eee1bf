//! Reads a list back as tags, for tests to compare.

use std::collections::VecDeque;
use threadmill_markdown::render;

const NAMES: [&str; 23] = [
    "/", "", "br", "hr", "code", "pre", "html", "img", "box", "p", "quote", "h", "ul", "ol", "li", "table", "thead",
    "tr", "td", "em", "strong", "del", "a",
];
const OPENS: std::ops::RangeInclusive<usize> = 9..=22;

/// What a text becomes, as tags.
pub(crate) fn tags(source: &str) -> String {
    let rendered = render(source);
    let mut ops: VecDeque<u32> = rendered.ops.into();
    let units: Vec<u16> = rendered.text.encode_utf16().collect();
    let (mut at, mut out, mut open) = (0, String::new(), Vec::new());
    while let Some(op) = ops.pop_front() {
        let op = usize::try_from(op).unwrap_or(usize::MAX);
        let mut number = || ops.pop_front().unwrap_or_default();
        let mut words = |length: u32| {
            let length = usize::try_from(length).unwrap_or(usize::MAX);
            let text = String::from_utf16_lossy(&units[at..at + length]);
            at += length;
            text
        };
        match op {
            0 => out.push_str(&format!("</{}>", open.pop().unwrap_or("nothing"))),
            1 => out.push_str(&words(number())),
            4 | 6 => out.push_str(&format!("<{}:{}>", NAMES[op], words(number()))),
            5 | 7 | 22 => {
                let first = words(number());
                out.push_str(&format!("<{}:{first}:{}>", NAMES[op], words(number())));
            }
            8 | 11 | 13 => out.push_str(&format!("<{}:{}>", NAMES[op], number())),
            15 => {
                let columns: Vec<u32> = (0..number()).map(|_| number()).collect();
                out.push_str(&format!("<table:{columns:?}>"));
            }
            _ => out.push_str(&format!("<{}>", NAMES[op])),
        }
        if OPENS.contains(&op) {
            open.push(NAMES[op]);
        }
    }
    assert!(open.is_empty(), "left open: {open:?}");
    assert_eq!(at, units.len(), "letters that no number names");
    out
}
