//! The terminal while the screen has it: raw, on its other page, without a cursor. It is given back as it was however the
//! command ends: by a key, a signal, an error or a panic.

use std::io::{Stdout, Write as _, stdout};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::cursor::{Hide, Show};
use ratatui::crossterm::event::{self, Event};
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode};
use tokio::sync::mpsc;

/// How often the thread that reads keys looks whether it is still needed.
const LOOK: Duration = Duration::from_millis(200);

/// The terminal, taken. Dropping it gives it back.
pub(super) struct Terminal {
    pub(super) inner: ratatui::Terminal<CrosstermBackend<Stdout>>,
    is_over: Arc<AtomicBool>,
}

impl Terminal {
    /// Takes the terminal, and what is typed on it.
    pub(super) fn take() -> anyhow::Result<(Self, mpsc::Receiver<Event>)> {
        give_back_on_panic();
        enable_raw_mode().context("the terminal cannot be taken")?;
        let is_over = Arc::<AtomicBool>::default();
        let inner = execute!(stdout(), EnterAlternateScreen, Hide)
            .and_then(|()| ratatui::Terminal::new(CrosstermBackend::new(stdout())));
        let inner = inner.inspect_err(|_| give_back()).context("the terminal cannot be taken")?;
        let (sender, events) = mpsc::channel(64);
        let over = Arc::clone(&is_over);
        std::thread::spawn(move || read(&sender, &over));
        Ok((Self { inner, is_over }, events))
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::SeqCst);
        give_back();
    }
}

/// Hands on what is typed, in a thread of its own: reading a terminal blocks.
fn read(sender: &mpsc::Sender<Event>, is_over: &AtomicBool) {
    while !is_over.load(Ordering::SeqCst) {
        match event::poll(LOOK) {
            Ok(false) => {}
            // A terminal that is gone, or nobody who listens.
            Ok(true) => {
                let Ok(typed) = event::read() else { return };
                if sender.blocking_send(typed).is_err() {
                    return;
                }
            }
            Err(_) => return,
        }
    }
}

fn give_back() {
    // There is nothing left to do where one of them fails.
    let _ = execute!(stdout(), Show, LeaveAlternateScreen);
    let _ = disable_raw_mode();
    let _ = stdout().flush();
}

/// What a panic says is to be read on the page where it was begun.
fn give_back_on_panic() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        give_back();
        before(panic);
    }));
}
