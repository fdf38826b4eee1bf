//! Single stories of tabs that lead, follow, come and go.

use super::{HEARTBEAT, Op, World, leader, opened, settle};
use crate::model::Server;
use threadmill_core::engine::{Company, Engine, Input, Output};
use threadmill_core::session::Transport;
use threadmill_core::tabs::Role;

#[test]
fn one_connection_carries_an_answer_to_every_tab() {
    let mut world = opened(4);
    assert_eq!(world.connections(), 1);
    world.threads[0].start_run();
    (0..20).for_each(|_| world.threads[0].say(2));
    settle(&mut world);
    world.converged();
    world.threads[0].end_run();
    settle(&mut world);
    world.converged();
}

#[test]
fn a_leader_that_crashes_in_mid_answer_is_followed_by_another() {
    let mut world = opened(3);
    world.threads[0].start_run();
    world.threads[0].say(3);
    settle(&mut world);
    let first = leader(&world);
    world.threads[0].say(2);
    world.run(Op::Crash(first));
    world.threads[0].say(2);
    world.quiet();
    world.converged();
    assert_ne!(leader(&world), first);
    assert_eq!(world.connections(), 1);
}

#[test]
fn a_hidden_leader_hands_over_after_a_while_and_only_to_somebody() {
    let mut world = opened(1);
    world.run(Op::Hide(0));
    world.run(Op::Pass(10_000));
    assert_eq!(leader(&world), 0, "nobody else is there");
    world.run(Op::Open(1));
    settle(&mut world);
    world.grant();
    settle(&mut world);
    assert_eq!(leader(&world), 1, "whoever looks leads");
    assert_eq!(world.connections(), 1);

    let mut world = opened(2);
    let first = leader(&world);
    world.run(Op::Hide(first));
    world.run(Op::Pass(2_900));
    assert_eq!(leader(&world), first, "a glance elsewhere changes nothing");
    world.run(Op::Pass(200));
    assert_ne!(leader(&world), first);
}

#[test]
fn a_follower_that_is_gone_without_a_word_costs_nothing_for_long() {
    let mut world = opened(2);
    let gone = 1 - leader(&world);
    let subs = |world: &World| world.threads[0].connection(leader(world)).subscriptions();
    assert_eq!(subs(&world), 2);
    world.run(Op::Crash(gone));
    for _ in 0..5 {
        world.run(Op::Pass(HEARTBEAT));
        settle(&mut world);
    }
    assert_eq!(subs(&world), 1);
}

#[test]
fn what_a_former_leader_says_late_is_left_out() {
    let mut world = opened(3);
    let first = leader(&world);
    let others: Vec<usize> = (0..3).filter(|at| *at != first).collect();
    (0..10).for_each(|_| world.threads[0].append());
    world.down(first, 20);
    let late = world.channel[first][others[0]].pop_back().expect("a frame that is passed on");
    world.run(Op::Crash(first));
    world.quiet();
    // At one of these moments as many have come down in the new leader's time as before the late one in the former's.
    for _ in 0..20 {
        others.iter().for_each(|at| world.input(*at, Input::Heard(late.clone())));
        world.threads.iter_mut().for_each(Server::append);
        settle(&mut world);
        world.converged();
    }
}

/// What is lost last is noticed by the next heartbeat, without anything else to tell.
#[test]
fn a_message_that_the_channel_loses_is_noticed() {
    for op in [Op::Lose(0, 2), Op::Double(0, 2), Op::Swap(0, 2)] {
        let mut world = opened(3);
        assert_eq!(leader(&world), 0);
        world.threads[0].append();
        world.threads[0].append();
        world.down(0, 10);
        world.run(op);
        world.run(op);
        settle(&mut world);
        world.run(Op::Pass(HEARTBEAT));
        settle(&mut world);
        world.run(Op::Pass(1_000));
        settle(&mut world);
        world.converged();
    }
}

#[test]
fn a_frame_for_the_server_that_is_lost_is_noticed() {
    let mut world = opened(2);
    assert_eq!(leader(&world), 0);
    // The follower's subscription to where it jumps to.
    world.run(Op::Jump(1, 3));
    world.run(Op::Read(1));
    world.run(Op::Page(1));
    assert!(!world.channel[1][0].is_empty());
    world.channel[1][0].clear();
    settle(&mut world);
    world.run(Op::Pass(HEARTBEAT));
    settle(&mut world);
    world.run(Op::Pass(1_000));
    settle(&mut world);
    world.threads[1].append();
    settle(&mut world);
    world.converged();
}

/// The leader's connection is cut and made again, and one of the followers does not hear the leader say so.
#[test]
fn a_new_connection_is_noticed_by_those_who_did_not_hear_of_the_cut() {
    let mut world = opened(3);
    assert_eq!(leader(&world), 0);
    world.run(Op::Cut(0));
    world.channel[0][1].clear();
    world.run(Op::Pass(300));
    world.up(0, 1);
    world.down(0, 1);
    world.channel[0][1].clear();
    // The other follower is taken up again: what comes down for it tells the one who missed it.
    settle(&mut world);
    world.run(Op::Pass(300));
    settle(&mut world);
    world.threads[1].append();
    settle(&mut world);
    world.converged();
}

/// A tab asks twice to be taken up, and hears both answers.
#[test]
fn the_answer_to_an_earlier_request_to_join_is_left_out() {
    let mut world = opened(2);
    assert_eq!(leader(&world), 0);
    world.run(Op::Hide(1));
    world.run(Op::Show(1));
    world.run(Op::Hide(1));
    world.run(Op::Show(1));
    settle(&mut world);
    // What it sends now is in step with what the leader has counted.
    world.run(Op::Jump(1, 3));
    settle(&mut world);
    assert_eq!(world.threads[0].connection(0).subscriptions(), 2, "one for each tab");
    world.threads[1].append();
    settle(&mut world);
    world.converged();
}

/// The first role a host hears of is the one it has: before the start it sends nothing from an outbox.
#[test]
fn no_role_is_said_before_the_start() {
    let mut engine = Engine::new(1, "test");
    let roles = |engine: &mut Engine| {
        let outputs = core::iter::from_fn(|| Some(engine.poll_output()).filter(|out| !matches!(out, Output::Wait(_))));
        outputs.filter(|out| matches!(out, Output::Role(..))).collect::<Vec<_>>()
    };
    engine.handle(0, Input::Token("t".into()));
    assert_eq!(roles(&mut engine), []);
    engine.handle(0, Input::Start(Company::Others));
    assert_eq!(roles(&mut engine), [Output::Role(Role::Follower, 0)]);
}

/// Without sockets every visible tab makes a connection of its own, also one that comes later.
#[test]
fn a_tab_that_comes_to_a_leader_without_a_socket_connects_by_itself() {
    let mut world = World::new(10);
    world.run(Op::Open(0));
    // Two sockets fail before anything is said.
    for _ in 0..2 {
        world.run(Op::Cut(0));
        let due = world.tabs[0].as_ref().and_then(|tab| tab.deadline).expect("another try");
        world.run(Op::Pass(due - world.now));
    }
    settle(&mut world);
    let transport = |world: &World, at: usize| world.tabs[at].as_ref().expect("a tab").transport;
    assert_eq!(transport(&world, 0), Transport::Events);
    world.run(Op::Open(1));
    settle(&mut world);
    assert_eq!(transport(&world, 1), Transport::Events);
    world.threads[1].append();
    settle(&mut world);
    world.converged_apart();
}

#[test]
fn a_hidden_leader_without_a_connection_hands_over_too() {
    let mut world = opened(1);
    world.run(Op::Hide(0));
    world.run(Op::Cut(0));
    world.run(Op::Pass(10));
    world.run(Op::Open(1));
    settle(&mut world);
    assert_eq!(leader(&world), 0, "it was seen a moment ago");
    // Its own timer would come much later: a page that is hidden has few.
    world.now += 60_000;
    world.tabs[1].as_mut().expect("a tab").deadline = None;
    world.input(1, Input::Hidden);
    world.input(1, Input::Shown);
    settle(&mut world);
    world.grant();
    settle(&mut world);
    assert_eq!(leader(&world), 1);
}
