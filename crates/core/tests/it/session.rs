//! The connection's life, input by input.

use threadmill_core::session::{Action, Heard, Session, Status, Transport};
use threadmill_proto::{ClientFrame, ErrorCode, Problem, ServerFrame};

fn actions(session: &mut Session) -> Vec<Action> {
    core::iter::from_fn(|| session.poll()).collect()
}

fn welcome() -> ServerFrame {
    ServerFrame::Welcome { version: 1, node: "n".into(), heartbeat: 15_000, user: "u".into() }
}

fn live(now: u64) -> Session {
    let mut session = Session::new(1, "test");
    session.start(now);
    session.opened(now);
    session.frame(now, &welcome());
    actions(&mut session);
    session
}

#[test]
fn it_greets_and_stands() {
    let mut session = Session::new(1, "test");
    session.start(0);
    assert_eq!(actions(&mut session), [Action::Connect(Transport::Socket)]);
    session.opened(5);
    assert!(matches!(actions(&mut session)[..], [Action::Send(ClientFrame::Hello { .. })]));
    assert_eq!(session.frame(9, &welcome()), Heard::Done);
    assert_eq!(actions(&mut session), [Action::Up]);
    assert_eq!(*session.status(), Status::Live);
}

#[test]
fn silence_means_dead_and_any_frame_means_alive() {
    let mut session = live(0);
    assert_eq!(session.deadline(), Some(37_500));
    session.frame(30_000, &ServerFrame::Pong { token: 0, now: 0 });
    session.tick(37_500);
    assert_eq!(actions(&mut session), []);
    session.tick(67_500);
    assert_eq!(actions(&mut session), [Action::Disconnect, Action::Down]);
    assert_eq!(*session.status(), Status::Reconnecting);
}

#[test]
fn a_drop_is_followed_by_a_wait_and_a_new_connection() {
    let mut session = live(0);
    session.closed(1_000);
    assert_eq!(actions(&mut session), [Action::Down]);
    let due = session.deadline().expect("a wait");
    assert!((1_000..=1_250).contains(&due), "the first wait is short: {due}");
    session.tick(due);
    assert_eq!(actions(&mut session), [Action::Connect(Transport::Socket)]);
}

#[test]
fn waits_grow_while_nobody_answers() {
    let mut session = Session::new(3, "test");
    session.start(0);
    let (mut now, mut longest) = (0, 0);
    for _ in 0..40 {
        session.closed(now);
        let due = session.deadline().expect("a wait");
        longest = longest.max(due - now);
        now = due;
        session.tick(now);
    }
    assert!((5_000..=15_000).contains(&longest), "{longest}");
}

#[test]
fn a_closing_server_is_left_within_its_window() {
    let spread: Vec<u64> = (0..50)
        .map(|seed| {
            let mut session = Session::new(seed, "test");
            session.start(0);
            session.opened(0);
            session.frame(0, &welcome());
            session.frame(100, &ServerFrame::Closing { reconnect_within: 5_000 });
            session.deadline().expect("a moment to go")
        })
        .collect();
    assert!(spread.iter().all(|at| (100..=5_100).contains(at)));
    assert!(spread.iter().any(|at| *at < 1_500) && spread.iter().any(|at| *at > 3_500), "a crowd is spread");
}

#[test]
fn a_closed_connection_waits_for_the_moment_it_drew() {
    let mut session = live(0);
    session.frame(100, &ServerFrame::Closing { reconnect_within: 5_000 });
    let at = session.deadline();
    session.closed(110);
    assert_eq!(session.deadline(), at);
}

#[test]
fn a_refusal_is_final_unless_it_passes() {
    let refused = |code| ServerFrame::Refused(Problem::new(code, "no"));
    let mut session = live(0);
    session.frame(1, &refused(ErrorCode::OriginRefused));
    assert!(matches!(session.status(), Status::Refused(_)));
    assert_eq!(session.deadline(), None);
    let mut session = live(0);
    session.frame(1, &refused(ErrorCode::Overloaded));
    assert!(session.deadline().is_some());
}

#[test]
fn a_reader_who_is_back_does_not_wait() {
    let mut session = live(0);
    session.closed(10);
    actions(&mut session);
    session.wake(11);
    assert_eq!(actions(&mut session), [Action::Connect(Transport::Socket)]);
    let mut session = live(0);
    session.wake(100);
    assert!(matches!(actions(&mut session)[..], [Action::Send(ClientFrame::Ping { .. })]));
    assert_eq!(session.deadline(), Some(4_100), "it has to prove that it lives");
}
