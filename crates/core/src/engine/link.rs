//! The engine's way to the server: its own connection, or the leader's.

use super::lists::Following;
use super::{Company, Engine, Output};
use crate::Now;
use crate::session::{Action, Heard, Transport, Way};
use crate::tabs::{Act, Role};
use threadmill_proto::{ClientFrame, ServerFrame, TabFrame, read, write};

impl Engine {
    pub(super) fn start(&mut self, now: Now, company: Company) {
        self.started = true;
        if company == Company::Others {
            self.tabs.follow(now);
            self.outbox.resign();
            self.session.set_way(Way::Relayed, Transport::Socket);
        }
        if !self.tabs.is_hidden() {
            self.session.start(now);
        }
    }

    pub(super) fn lead(&mut self, now: Now, stored: u64) {
        self.tabs.lead(stored);
        self.session.relink(now, Way::Own, Transport::Socket);
    }

    pub(super) fn stop(&mut self, now: Now) {
        if self.tabs.role() == Role::Leader {
            self.resign(now);
        }
        self.tabs.put_aside();
        self.session.stop();
    }

    /// The leader's term is over.
    fn resign(&mut self, now: Now) {
        self.tabs.resign(now);
        self.outbox.resign();
        self.session.stop();
        self.outputs.push(Output::Disconnect);
        self.session.set_way(Way::Relayed, Transport::Socket);
    }

    pub(super) fn hide(&mut self, now: Now) {
        self.tabs.hide(now);
        if self.tabs.role() == Role::Follower {
            self.session.stop();
        }
    }

    pub(super) fn reveal(&mut self, now: Now) {
        self.tabs.reveal(now);
        self.session.start(now);
        self.wake(now);
    }

    pub(super) fn wake(&mut self, now: Now) {
        self.outbox.wake();
        self.session.wake(now);
    }

    pub(super) fn heard(&mut self, now: Now, bytes: &[u8]) {
        if let Some(frame) = read::<TabFrame>(bytes) {
            self.tabs.heard(now, frame);
        }
    }

    pub(super) fn receive(&mut self, now: Now, bytes: &[u8]) {
        let frame = match read::<ServerFrame>(bytes) {
            Some(frame) => frame,
            None if ServerFrame::is_newer(bytes) => return,
            None => return self.session.unreadable(now),
        };
        match self.session.frame(now, &frame) {
            Heard::ForSubscriptions => {
                if matches!(frame, ServerFrame::Mode { .. }) {
                    self.tabs.keep_mode(bytes);
                }
                self.tabs.forward(bytes);
                self.frame(now, frame);
            }
            Heard::Done if matches!(frame, ServerFrame::Welcome { .. }) => match self.session.transport() {
                Transport::Socket => self.tabs.up(bytes.into()),
                transport @ (Transport::Events | Transport::Poll) => self.tabs.apart(transport),
            },
            Heard::Done => {}
        }
    }

    fn frame(&mut self, now: Now, frame: ServerFrame) {
        match frame {
            ServerFrame::Window { sub, window } => self.on_sub(sub, |view| view.on_window(sub, window)),
            ServerFrame::Resumed { sub } => self.on_sub(sub, |view| view.on_resumed(sub)),
            ServerFrame::Reset { sub, reason: _ } => self.on_sub(sub, |view| view.on_reset(sub)),
            ServerFrame::Event { thread, event } => {
                self.on_thread(now, &thread, |view| view.on_event(event.clone()));
            }
            ServerFrame::Advance { thread, position, total, branch } => {
                let longer = branch.as_ref().zip(total);
                self.on_thread(now, &thread, |view| view.on_advance(position, longer));
            }
            ServerFrame::Chunks { thread, run, message: _, from, to, chunks } => {
                self.on_thread(now, &thread, |view| view.on_chunks(now, &run, from, to, &chunks));
            }
            ServerFrame::Summaries { pos, items } => self.summaries(pos, &items),
            ServerFrame::Failed { sub, problem } => {
                if let Some(sub) = sub {
                    self.failed(now, sub, problem);
                }
            }
            ServerFrame::Pong { token: 0, now: _ } => self.tabs.heartbeat(),
            ServerFrame::Pong { token, now: _ } => {
                self.slots.values_mut().for_each(|slot| slot.view.on_pong(token));
            }
            ServerFrame::Flags { rev: _ } => self.outputs.push(Output::Flags),
            ServerFrame::Welcome { .. }
            | ServerFrame::Refused(_)
            | ServerFrame::Closing { .. }
            | ServerFrame::Mode { .. } => {}
        }
    }

    /// Does what the session and the tabs ask for, which may lead to more of it.
    pub(super) fn settle_link(&mut self, now: Now) {
        loop {
            if let Some(action) = self.session.poll() {
                self.act(action);
            } else if let Some(act) = self.tabs.poll() {
                self.follow_tabs(now, act);
            } else {
                return;
            }
        }
    }

    fn is_relayed(&self) -> bool {
        self.session.way() == Way::Relayed
    }

    /// Sends a frame, by the leader's connection if that is the way.
    pub(super) fn send(&mut self, frame: &ClientFrame) {
        let bytes = write(frame);
        if self.is_relayed() {
            self.tabs.send(bytes);
        } else {
            self.outputs.push(Output::Send(bytes));
        }
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Connect(_) if self.is_relayed() => self.tabs.join(),
            Action::Connect(transport) => self.outputs.push(Output::Connect(transport)),
            Action::Disconnect if self.is_relayed() => self.tabs.leave(),
            Action::Disconnect => self.outputs.push(Output::Disconnect),
            // The leader has said it.
            Action::Send(ClientFrame::Hello { .. }) if self.is_relayed() => {}
            Action::Send(frame) => self.send(&frame),
            Action::Up => self.up(),
            Action::Down => self.down(),
            Action::Renew => self.outputs.push(Output::Renew),
        }
    }

    fn follow_tabs(&mut self, now: Now, act: Act) {
        match act {
            Act::Post(frame) => self.outputs.push(Output::Post(write(&frame))),
            Act::Send(frame) => self.outputs.push(Output::Send(frame)),
            Act::Connected(welcome) => {
                self.session.opened(now);
                self.receive(now, &welcome);
            }
            Act::Received(frame) => self.receive(now, &frame),
            Act::Lost if self.is_relayed() => self.session.closed(now),
            Act::Lost => {}
            Act::Join if self.is_relayed() => self.session.rejoin(now),
            // It made a connection of its own, which is not needed any more.
            Act::Join if !self.tabs.is_hidden() => {
                self.outputs.push(Output::Disconnect);
                self.session.relink(now, Way::Relayed, Transport::Socket);
            }
            // The leader has found that sockets do not get through.
            Act::Apart(transport) if self.is_relayed() && !self.tabs.is_hidden() => {
                self.session.relink(now, Way::Apart, transport);
            }
            Act::Join | Act::Apart(_) => {}
            Act::Resign => {
                self.resign(now);
                // Somebody else leads by now: whoever is looked at goes on as a follower.
                if !self.tabs.is_hidden() {
                    self.session.start(now);
                }
            }
            Act::Steal => self.outputs.push(Output::Steal),
        }
    }

    fn up(&mut self) {
        self.subscribe_all();
        self.want_lists();
        self.follow();
    }

    fn down(&mut self) {
        self.feed.following = Following::No;
        self.disconnect_all();
        self.tabs.down();
    }
}
