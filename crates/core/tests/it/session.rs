//! The connection's life, input by input.

use threadmill_core::session::{Action, Heard, Session, Status, Transport};
use threadmill_proto::frame::Mode;
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
    assert_eq!(*session.status(), Status::Live(Mode::Full));
}

#[test]
fn the_mode_is_what_was_said_last_and_whole_again_after_a_greeting() {
    let mut session = live(0);
    assert_eq!(session.frame(1, &ServerFrame::Mode { mode: Mode::Degraded }), Heard::ForSubscriptions);
    assert_eq!(*session.status(), Status::Live(Mode::Degraded));
    session.closed(2);
    session.tick(session.deadline().expect("a wait"));
    session.opened(3_000);
    session.frame(3_000, &welcome());
    assert_eq!(*session.status(), Status::Live(Mode::Full));
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
    for code in [ErrorCode::Overloaded, ErrorCode::RateLimited] {
        let mut session = live(0);
        session.frame(1, &refused(code));
        assert!(session.deadline().is_some(), "{code:?}");
    }
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

/// Connects and is cut before anything is said, as often as it takes to try something else.
fn cut_until(session: &mut Session, now: &mut u64, transport: Transport) {
    for _ in 0..10 {
        if actions(session).contains(&Action::Connect(transport)) {
            return;
        }
        session.closed(*now);
        *now = session.deadline().expect("another try");
        session.tick(*now);
    }
    panic!("{transport:?} was never tried");
}

#[test]
fn what_does_not_get_through_gives_way_to_what_may() {
    let mut session = Session::new(1, "test");
    let mut now = 0;
    session.start(now);
    cut_until(&mut session, &mut now, Transport::Events);
    cut_until(&mut session, &mut now, Transport::Poll);
    cut_until(&mut session, &mut now, Transport::Socket);
}

#[test]
fn a_connection_that_swallows_everything_gives_way_too() {
    let mut session = Session::new(1, "test");
    session.start(0);
    session.opened(0);
    let mut now = session.deadline().expect("a moment to give up");
    session.tick(now);
    now = session.deadline().expect("a wait");
    session.tick(now);
    assert!(actions(&mut session).contains(&Action::Connect(Transport::Events)));
    assert!(now <= 5_000, "it takes {now} ms");
}

/// A request carries everything there is to say: it is said when the request is about to be made, and again for
/// every further one.
#[test]
fn without_a_socket_everything_is_said_at_once_and_again() {
    let mut session = Session::new(1, "test");
    let mut now = 0;
    session.start(now);
    cut_until(&mut session, &mut now, Transport::Poll);
    session.opened(now);
    assert!(matches!(actions(&mut session)[..], [Action::Send(ClientFrame::Hello { .. }), Action::Up]));
    assert!(session.is_live(), "frames can be said before the server answers");
    session.frame(now, &welcome());
    assert_eq!(actions(&mut session), []);
    assert_eq!(*session.status(), Status::Live(Mode::Full));
    session.opened(now + 1);
    assert!(matches!(actions(&mut session)[..], [Action::Down, Action::Send(ClientFrame::Hello { .. }), Action::Up]));
    assert_eq!(*session.status(), Status::Live(Mode::Full), "between two polls nothing is lost");
}

#[test]
fn a_socket_is_tried_again_from_time_to_time_and_once_only() {
    let mut session = Session::new(1, "test");
    let mut now = 0;
    session.start(now);
    cut_until(&mut session, &mut now, Transport::Events);
    session.opened(now);
    session.frame(now, &welcome());
    actions(&mut session);
    // The server is heard all the time.
    let mut tried = None;
    for _ in 0..20 {
        now += 5_000;
        session.frame(now, &ServerFrame::Pong { token: 0, now: 0 });
        session.tick(now);
        session.tick(now);
        let done = actions(&mut session);
        if done.contains(&Action::Connect(Transport::Socket)) {
            tried = Some(done);
            break;
        }
    }
    let done = tried.expect("another socket within two minutes");
    assert!(done.contains(&Action::Down), "the request makes way: {done:?}");
    session.closed(now);
    session.tick(session.deadline().expect("another try"));
    assert_eq!(actions(&mut session), [Action::Connect(Transport::Events)], "one miss leads back");
}

#[test]
fn the_credential_is_said_first_and_renewed_on_the_way() {
    let mut session = Session::new(1, "test");
    session.authenticate(0, "one".into());
    session.start(0);
    session.opened(0);
    let said = actions(&mut session);
    assert!(
        matches!(&said[..], [_, Action::Send(ClientFrame::Hello { token: Some(token), .. })] if token == "one"),
        "{said:?}"
    );
    session.frame(0, &welcome());
    actions(&mut session);
    session.authenticate(1, "two".into());
    assert_eq!(actions(&mut session), [Action::Send(ClientFrame::Authenticate { token: "two".into() })]);
    // One that the server does not take is asked for again, and then tried at once.
    session.frame(2, &ServerFrame::Refused(Problem::new(ErrorCode::Unauthorized, "it ran out")));
    let done = actions(&mut session);
    assert_eq!(done, [Action::Disconnect, Action::Down, Action::Renew]);
    session.authenticate(3, "three".into());
    assert_eq!(actions(&mut session), [Action::Connect(Transport::Socket)]);
}

/// A server that is away makes every transport fail: when it is back a socket is tried soon, not after hours.
#[test]
fn an_outage_does_not_keep_clients_off_sockets() {
    for away in [30_000, 120_000, 600_000] {
        let mut session = Session::new(away, "test");
        let mut now = 0;
        session.start(now);
        let mut transport = Transport::Socket;
        while now < away {
            for action in actions(&mut session) {
                if let Action::Connect(next) = action {
                    transport = next;
                }
            }
            session.closed(now);
            now = session.deadline().expect("another try");
            session.tick(now);
        }
        // It is back, whatever was tried last.
        let back = now;
        while transport != Transport::Socket {
            session.opened(now);
            session.frame(now, &welcome());
            now = session.deadline().expect("a moment to go");
            session.frame(now, &ServerFrame::Pong { token: 0, now: 0 });
            session.tick(now);
            session.tick(now);
            for action in actions(&mut session) {
                if let Action::Connect(next) = action {
                    transport = next;
                }
            }
        }
        assert!(now - back <= 90_000, "after {away} ms away a socket came {} ms late", now - back);
    }
}

#[test]
fn a_credential_that_was_refused_is_not_tried_in_a_loop() {
    let mut session = Session::new(1, "test");
    session.authenticate(0, "one".into());
    session.start(0);
    session.opened(0);
    actions(&mut session);
    session.frame(0, &ServerFrame::Refused(Problem::new(ErrorCode::Unauthorized, "it ran out")));
    actions(&mut session);
    session.authenticate(1, "one".into());
    assert_eq!(actions(&mut session), [], "the same one");
    assert!(session.deadline().is_some(), "but some time");
}

/// A request that is cut is made again as soon as a socket would be, whenever a socket is tried next.
#[test]
fn an_event_stream_that_is_cut_comes_back_at_once() {
    let mut session = Session::new(1, "test");
    let mut now = 0;
    session.start(now);
    cut_until(&mut session, &mut now, Transport::Events);
    session.opened(now);
    session.frame(now, &welcome());
    session.closed(now + 10);
    let due = session.deadline().expect("another try");
    assert!(due <= now + 10 + 250, "{} ms later", due - now);
}
