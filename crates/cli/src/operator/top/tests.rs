//! The screen on terminals of several sizes, with answers that are recorded, hostile or missing.

use std::time::Duration;

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::style::Color;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::ask::Heard;
use super::draw::{Paint, draw};
use super::screen::{Screen, Then};
use super::tabs::Tab;

fn summary() -> Value {
    json!({
        "verdict": "watch", "line": "Hot hit rate: 71.2 % of what was read came from memory; the limit is 80 %.",
        "at": "2026-11-29T12:00:00.000Z",
        "node": {"name": "0193abcd", "version": "0.1.0", "uptimeMs": 86_400_000, "status": "ready", "mode": "full"},
        "figures": {
            "connections": 12, "runs": 3, "operationsPerSecond": 210.5, "hitRate": 0.712, "fallbackShare": 0.001,
            "lockFailureShare": 0.0, "errorShare": null, "firstTokenMs": {"p50": 310.0, "p99": 900.0},
            "residentBytes": 51_200_000, "unsentBytes": 0,
        },
        "insights": [{
            "id": "hot-hit-rate", "title": "Hot hit rate", "severity": "warning", "what": "71.2 % came from memory.",
            "who": "readers of node 0193abcd", "since": "2026-11-29T11:51:10.000Z", "why": "Windows are read from the durable tier.",
            "act": "Look at the mode and at evictions.", "command": "curl -s …/ops/api/hot",
        }],
        "watched": [{"state": "ok"}, {"state": "few"}, {"state": "none"}],
    })
}

fn series() -> Value {
    json!({"series": [
        {"name": "threadmill_runs", "stat": "value", "points": [0, 1, null, 3]},
        {"name": "threadmill_operations_total", "stat": "rate", "points": [1.0, 2.0]},
        {"name": "threadmill_operations_total", "stat": "rate", "points": [1.0, 6.0]},
    ]})
}

fn screen() -> Screen {
    let mut screen = Screen::new("http://127.0.0.1:7430");
    for (path, answer) in [("summary", summary()), ("series", series())] {
        screen.hear(Heard { path, answer: Ok(answer) }, Instant::now());
    }
    screen
}

fn terminal(screen: &mut Screen, (width, height): (u16, u16), paint: Paint) -> Terminal<TestBackend> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a terminal");
    terminal.draw(|frame| draw(frame, screen, paint, Instant::now())).expect("it is drawn");
    terminal
}

/// The screen as text.
fn shown(screen: &mut Screen, size: (u16, u16)) -> String {
    let terminal = terminal(screen, size, Paint::Colours);
    let buffer = terminal.backend().buffer();
    let row = |y: u16| -> String {
        let row: String = (0..size.0).map(|x| buffer[(x, y)].symbol()).collect();
        row.trim_end().to_owned() + "\n"
    };
    (0..size.1).map(row).collect()
}

fn check(screen: &mut Screen, size: (u16, u16), want: &[&str]) {
    let text = shown(screen, size);
    for line in want {
        assert!(text.lines().any(|there| there == *line), "{line:?} is no line of\n{text}");
    }
}

fn press(screen: &mut Screen, code: KeyCode) -> Then {
    screen.press(KeyEvent::new(code, KeyModifiers::NONE))
}

#[tokio::test(start_paused = true)]
async fn the_first_page_is_whole_on_a_wide_terminal() {
    let first = [
        "▲ Hot hit rate: 71.2 % of what was read came from memory; the limit is 80 %.",
        "  node 0193abcd  version 0.1.0  up 24 h  status ready  mode full",
        "  hit rate 71.2 %  fallback 0.1 %  lock failures 0.0 %  errors –",
        "▌ Hot hit rate  since 9 min",
        "  Who: readers of node 0193abcd",
        "  $ curl -s …/ops/api/hot",
        "  runs                           3  ▁▃ █",
        "  operations               210.5/s  ▃█",
        "  memory                   51.2 MB",
    ];
    check(&mut screen(), (110, 26), &first);
}

#[tokio::test(start_paused = true)]
async fn it_fits_a_narrow_terminal_and_moves_by_lines() {
    let mut screen = screen();
    check(&mut screen, (80, 24), &["  Who: readers of node 0193abcd", "  first token, p99          900 ms"]);
    for _ in 0..99 {
        press(&mut screen, KeyCode::Down);
    }
    let end = shown(&mut screen, (40, 10));
    assert!(end.contains("concerns watched"), "{end}");
    // Any size is drawn.
    for width in [0, 1, 2, 7, 20] {
        for height in [0, 1, 2, 3, 5] {
            shown(&mut screen, (width.max(1), height.max(1)));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn pages_are_turned_by_keys() {
    let mut screen = screen();
    let runs = json!({"live": 1, "runs": [
        {"acceptedAt": "2026-11-29T11:59:50.000Z", "state": "ended", "outcome": "failed", "failure": "provider_timeout",
         "provider": "openai", "firstByteMs": 310.0, "endedMs": 4100.0, "chunks": 540, "user": "ada", "thread": "t1"},
        {"acceptedAt": "2026-11-29T11:59:58.000Z", "state": "streaming", "outcome": null, "failure": null,
         "provider": "openai", "firstByteMs": 210.0, "endedMs": null, "chunks": 12, "user": "bob", "thread": "t2"},
    ]});
    assert_eq!(press(&mut screen, KeyCode::Char('2')), Then::GoOn);
    assert_eq!(screen.tab, Tab::Runs);
    assert!(shown(&mut screen, (80, 10)).contains("nothing is known of this yet"));
    screen.hear(Heard { path: "runs", answer: Ok(runs) }, Instant::now());
    check(&mut screen, (90, 9), &["  live 1"]);
    let text = shown(&mut screen, (90, 9));
    assert!(text.contains("provider_timeout") && text.contains("streaming") && text.contains("4.1 s"), "{text}");
    press(&mut screen, KeyCode::Left);
    press(&mut screen, KeyCode::Left);
    assert_eq!(screen.tab, Tab::Errors);
    press(&mut screen, KeyCode::Right);
    assert_eq!(screen.tab, Tab::Now);
    press(&mut screen, KeyCode::Char('9'));
    press(&mut screen, KeyCode::Char('0'));
    assert_eq!(screen.tab, Tab::Now);
    press(&mut screen, KeyCode::Char('?'));
    assert!(shown(&mut screen, (80, 24)).contains("another page"));
    assert_eq!(press(&mut screen, KeyCode::Esc), Then::GoOn, "it closes the help first");
    press(&mut screen, KeyCode::Char('p'));
    assert!(screen.wanted().is_paused && shown(&mut screen, (80, 24)).contains("paused"));
    assert_eq!(press(&mut screen, KeyCode::Char('q')), Then::Leave);
    assert_eq!(screen.press(KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL)), Then::Leave);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_went_away_has_no_verdict() {
    let mut screen = screen();
    tokio::time::advance(Duration::from_secs(12)).await;
    screen.hear(Heard { path: "summary", answer: Err("the connection was refused".into()) }, Instant::now());
    let text = shown(&mut screen, (100, 24));
    assert!(text.contains("? last answer 12 s ago; what is below is from then: the connection was refused"), "{text}");
    assert!(!text.contains("the limit is 80 %"), "a verdict on a node that says nothing");
    assert!(text.contains("Hot hit rate"), "what was known is shown");
    screen.hear(Heard { path: "summary", answer: Ok(summary()) }, Instant::now());
    assert!(shown(&mut screen, (100, 24)).contains("the limit is 80 %"));
    let mut never = Screen::new("http://[::1]:1");
    assert!(shown(&mut never, (80, 5)).contains("asking http://[::1]:1"));
    never.hear(Heard { path: "summary", answer: Err("why".into()) }, Instant::now());
    assert!(shown(&mut never, (80, 5)).contains("has not answered: why"));
}

#[tokio::test(start_paused = true)]
async fn answers_of_any_shape_are_shown_without_control_characters() {
    let evil = "\u{1b}]0;owned\u{7}\u{1b}[2J\r\n\u{202e}";
    let hostile = |value: Value| {
        let mut screen = Screen::new("http://x");
        for tab in Tab::ALL {
            screen.hear(Heard { path: tab.path(), answer: Ok(value.clone()) }, Instant::now());
        }
        screen.hear(Heard { path: "series", answer: Ok(value.clone()) }, Instant::now());
        for tab in Tab::ALL {
            screen.tab = tab;
            let text = shown(&mut screen, (80, 24));
            let control = text.chars().find(|char| char.is_control() && *char != '\n');
            assert!(control.is_none() && !text.contains('\u{202e}'), "{tab:?}: {control:?}");
        }
    };
    for value in [json!(null), json!([]), json!(1e308), json!(evil), json!({})] {
        hostile(value);
    }
    let row = json!({
        "id": evil, "name": evil, "user": evil, "tenant": evil, "state": evil, "outcome": evil, "code": evil, "route": evil,
        "title": evil, "severity": evil, "what": evil, "who": evil, "why": evil, "act": evil, "command": evil, "flag": evil,
        "status": 1e300, "points": [evil, null, -5, 1e308, 1e308], "stat": "value", "at": evil, "since": evil,
    });
    let rows = Value::Array(vec![row; 300]);
    hostile(json!({
        "verdict": evil, "line": evil, "node": {"name": evil}, "figures": evil, "insights": rows, "watched": rows, "runs": rows,
        "connections": rows, "held": rows, "calls": rows, "nodes": rows, "rollouts": rows, "errors": rows, "series": rows,
    }));
}

#[tokio::test(start_paused = true)]
async fn without_colours_there_are_none() {
    for (paint, has) in [(Paint::Colours, true), (Paint::Plain, false)] {
        let terminal = terminal(&mut screen(), (80, 24), paint);
        let buffer = terminal.backend().buffer();
        let coloured = buffer.content().iter().any(|cell| cell.fg != Color::Reset || cell.bg != Color::Reset);
        assert_eq!(coloured, has, "{paint:?}");
    }
}
