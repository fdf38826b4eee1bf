//! The screen on a terminal of any size.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line as Drawn, Span, Text};
use tokio::time::Instant;

use super::page::Line;
use super::screen::Screen;
use super::words::Tone;

/// Whether colours are shown. Without them what matters is bold or said in words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Paint {
    Colours,
    Plain,
}

/// Draws it, and keeps the page's last line on the screen.
pub(super) fn draw(frame: &mut Frame<'_>, screen: &mut Screen, paint: Paint, now: Instant) {
    let rows = [Constraint::Length(1), Constraint::Length(1), Constraint::Min(0), Constraint::Length(1)];
    let [tabs, verdict, body, foot] = Layout::vertical(rows).areas(frame.area());
    let page = screen.page(usize::from(body.width));
    let height = usize::from(body.height);
    screen.above = screen.above.min(page.len().saturating_sub(height));
    let shown: Vec<Drawn<'_>> = page.iter().skip(screen.above).take(height).map(|line| drawn(line, paint)).collect();
    frame.render_widget(drawn(&screen.tabs(), paint), tabs);
    frame.render_widget(drawn(&screen.verdict(now), paint), verdict);
    frame.render_widget(Text::from(shown), body);
    frame.render_widget(drawn(&screen.foot(now), paint), foot);
}

fn drawn(line: &Line, paint: Paint) -> Drawn<'static> {
    let span = |word: &super::words::Word| Span::styled(word.text().to_owned(), style(word.tone, paint));
    line.iter().map(span).collect::<Vec<_>>().into()
}

fn style(tone: Tone, paint: Paint) -> Style {
    let colour = |colour: Color| match paint {
        Paint::Colours => Style::new().fg(colour),
        Paint::Plain => Style::new(),
    };
    match tone {
        Tone::Plain => Style::new(),
        Tone::Dim => Style::new().add_modifier(Modifier::DIM),
        Tone::Strong => Style::new().add_modifier(Modifier::BOLD),
        Tone::Good => colour(Color::Green),
        Tone::Warn => colour(Color::Yellow).add_modifier(Modifier::BOLD),
        Tone::Bad => colour(Color::Red).add_modifier(Modifier::BOLD),
    }
}
