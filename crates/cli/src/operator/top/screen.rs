//! What is on the screen, and what keys do to it. No terminal and no server in it.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use serde_json::Value;
use tokio::time::Instant;

use super::ask::{Answers, Heard, Wanted};
use super::fields::millis;
use super::page::{Block, Line, lines};
use super::tabs::{Tab, blocks, verdict};
use super::words::{Tone, Word};

/// Lines that a page key moves.
const PAGE: usize = 10;

/// What a key asked for besides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    GoOn,
    Leave,
}

/// The screen.
#[derive(Debug)]
pub(super) struct Screen {
    pub(super) url: String,
    pub(super) tab: Tab,
    pub(super) is_paused: bool,
    pub(super) is_helping: bool,
    /// Lines of the page that are above the screen.
    pub(super) above: usize,
    answers: Answers,
    /// When something was answered last.
    last: Option<Instant>,
    /// Why the newest question was not answered.
    silent: Option<String>,
}

impl Screen {
    pub(super) fn new(url: &str) -> Self {
        Self {
            url: url.into(),
            tab: Tab::Now,
            is_paused: false,
            is_helping: false,
            above: 0,
            answers: Answers::default(),
            last: None,
            silent: None,
        }
    }

    /// What it needs to know.
    pub(super) fn wanted(&self) -> Wanted {
        Wanted { tab: self.tab, is_paused: self.is_paused }
    }

    /// Takes an answer.
    pub(super) fn hear(&mut self, heard: Heard, now: Instant) {
        match heard.answer {
            Ok(answer) => {
                self.answers.0.insert(heard.path, answer);
                (self.last, self.silent) = (Some(now), None);
            }
            Err(why) => self.silent = Some(why),
        }
    }

    /// Does what a key says.
    pub(super) fn press(&mut self, key: KeyEvent) -> Then {
        if key.kind == KeyEventKind::Release {
            return Then::GoOn;
        }
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            return if matches!(key.code, KeyCode::Char('c' | 'd')) { Then::Leave } else { Then::GoOn };
        }
        match key.code {
            KeyCode::Char('q') => return Then::Leave,
            KeyCode::Esc if self.is_helping => self.is_helping = false,
            KeyCode::Esc => return Then::Leave,
            KeyCode::Char('?' | 'h') => self.is_helping = !self.is_helping,
            KeyCode::Char('p' | ' ') => self.is_paused = !self.is_paused,
            KeyCode::Right | KeyCode::Tab => self.turn_to(self.tab.step(1)),
            KeyCode::Left | KeyCode::BackTab => self.turn_to(self.tab.step(Tab::ALL.len() - 1)),
            KeyCode::Down | KeyCode::Char('j') => self.above += 1,
            KeyCode::Up | KeyCode::Char('k') => self.above = self.above.saturating_sub(1),
            KeyCode::PageDown => self.above += PAGE,
            KeyCode::PageUp => self.above = self.above.saturating_sub(PAGE),
            KeyCode::Home => self.above = 0,
            KeyCode::Char(digit) => {
                let number = digit.to_digit(10).and_then(|number| usize::try_from(number).ok()).unwrap_or_default();
                if let Some(tab) = number.checked_sub(1).and_then(|at| Tab::ALL.get(at)) {
                    self.turn_to(*tab);
                }
            }
            _ => {}
        }
        Then::GoOn
    }

    fn turn_to(&mut self, tab: Tab) {
        (self.tab, self.above, self.is_helping) = (tab, 0, false);
    }

    /// The names of the tabs, the open one strong.
    pub(super) fn tabs(&self) -> Line {
        let name = |(number, tab): (usize, Tab)| {
            let tone = if tab == self.tab { Tone::Strong } else { Tone::Dim };
            [Word::new(&format!("{number} {}", tab.title()), tone), Word::plain("  ")]
        };
        (1..).zip(Tab::ALL).flat_map(name).collect()
    }

    /// How the node is, or that it is not known.
    pub(super) fn verdict(&self, now: Instant) -> Line {
        let Some(why) = &self.silent else {
            return match self.last {
                Some(_) => verdict(self.answers.of(Tab::Now.path())),
                None => vec![Word::dim(&format!("… asking {}", self.url))],
            };
        };
        let since = match self.last {
            Some(last) => format!("? last answer {} ago; what is below is from then: {why}", age(last, now)),
            None => format!("? {} has not answered: {why}", self.url),
        };
        vec![Word::new(&since, Tone::Bad)]
    }

    /// What stands below everything.
    pub(super) fn foot(&self, now: Instant) -> Line {
        let state = match (self.is_paused, self.last) {
            (true, Some(last)) => format!("paused; from {} ago", age(last, now)),
            (true, None) => "paused".into(),
            (false, Some(last)) => format!("answered {} ago", age(last, now)),
            (false, None) => "no answer yet".into(),
        };
        vec![Word::dim(&format!("q quit  p pause  ? help  ←→ 1-8 pages  ↑↓ lines   {state}   {}", self.url))]
    }

    /// The page as lines of a width.
    pub(super) fn page(&self, width: usize) -> Vec<Line> {
        let blocks = if self.is_helping { help() } else { self.blocks(self.tab) };
        lines(&blocks, width)
    }

    pub(super) fn blocks(&self, tab: Tab) -> Vec<Block> {
        let answer = self.answers.of(tab.path());
        if *answer == Value::Null {
            return vec![Block::Text(2, Word::dim("nothing is known of this yet"))];
        }
        blocks(tab, answer, self.answers.of(Tab::Now.path()), self.answers.of("series"))
    }
}

fn age(then: Instant, now: Instant) -> String {
    let seconds = now.saturating_duration_since(then).as_secs();
    if seconds < 120 { format!("{seconds} s") } else { millis(now.saturating_duration_since(then).as_secs_f64() * 1e3) }
}

fn help() -> Vec<Block> {
    let keys = [
        ("1 to 8, ← →, Tab", "another page"),
        ("↑ ↓, j k, PgUp PgDn, Home", "lines of the page"),
        ("p, space", "stand still, or go on"),
        ("?, h", "this"),
        ("q, Esc, Ctrl-C", "leave"),
    ];
    let row = |(key, does): (&str, &str)| vec![Word::plain(key), Word::plain(does)];
    let more = "It reads the ops API (docs/operations.md) each two seconds and changes nothing. A chart is the last 20 minutes. \
        What each concern means and what to do about it: docs/runbook.md.";
    vec![
        Block::Table(&["key", "does"], keys.into_iter().map(row).collect()),
        Block::Line(Vec::new()),
        Block::Text(2, Word::dim(more)),
    ]
}
