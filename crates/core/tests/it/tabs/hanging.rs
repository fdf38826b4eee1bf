//! A leader whose page hangs: it holds the lock and does nothing. Another tab takes the lead, and what the former one
//! does when it goes on harms nobody.

use super::{Op, Robbed, TABS, Tab, World, leader, opened, settle};
use crate::model::Server;
use threadmill_core::engine::Input;
use threadmill_core::session::Status;
use threadmill_proto::{TabFrame, write};

/// Time passes in small steps, and everything that is on its way arrives.
fn live_through(world: &mut World, time: u64) {
    let until = world.now + time;
    while world.now < until {
        let due = world.tabs.iter().flatten().filter(|tab| !tab.hangs).filter_map(|tab| tab.deadline).min();
        let step = due.map_or(500, |due| due.saturating_sub(world.now).clamp(1, 500));
        world.run(Op::Pass(step.min(until - world.now)));
        settle(world);
        world.grant();
        settle(world);
    }
}

fn is_live(world: &World, at: usize) -> bool {
    let live = |tab: &Tab| matches!(tab.engine.status(), Status::Live(_));
    world.tabs[at].as_ref().is_some_and(live)
}

#[test]
fn others_take_over_within_ten_seconds_and_a_tab_that_comes_meanwhile_connects() {
    let mut world = opened(3);
    let first = leader(&world);
    world.run(Op::Hang(first));
    world.run(Op::Open(3));
    live_through(&mut world, 10_000);
    assert_ne!(world.lock, Some(first));
    for at in (0..TABS).filter(|at| *at != first) {
        assert!(is_live(&world, at), "tab {at} is connected");
    }
    world.threads.iter_mut().for_each(Server::append);
    settle(&mut world);
    for robbed in [Robbed::First, Robbed::Last] {
        world.run(Op::GoOn(first, robbed));
        settle(&mut world);
        world.quiet();
        world.converged();
        assert_ne!(leader(&world), first, "it is one of the followers");
        assert_eq!(world.connections(), 1);
        // Again, with the tab that leads now.
        world.run(Op::Hang(first));
        live_through(&mut world, 12_000);
    }
}

#[test]
fn a_tab_that_is_alone_with_a_leader_that_hangs_from_its_beginning_leads() {
    let mut world = opened(1);
    world.run(Op::Hang(0));
    world.run(Op::Open(1));
    live_through(&mut world, 10_000);
    assert!(is_live(&world, 1));
    assert_eq!(world.lock, Some(1));
}

#[test]
fn a_former_leader_that_goes_on_follows_at_once_though_nobody_looks_at_it_anew() {
    let mut world = opened(2);
    let first = leader(&world);
    world.run(Op::Hang(first));
    live_through(&mut world, 10_000);
    world.run(Op::GoOn(first, Robbed::Last));
    live_through(&mut world, 1_000);
    assert!(is_live(&world, first));
    assert_eq!(world.connections(), 1);
}

#[test]
fn a_leader_that_answers_keeps_the_lead_however_little_there_is_to_say() {
    let mut world = opened(4);
    let first = leader(&world);
    let epoch = world.epoch;
    live_through(&mut world, 120_000);
    assert_eq!((leader(&world), world.epoch), (first, epoch));
}

/// A hidden page's timers run once a minute, or not at all.
#[test]
fn a_hidden_leader_without_timers_keeps_the_lead_while_it_answers() {
    let mut world = opened(1);
    world.run(Op::Hide(0));
    world.run(Op::Open(1));
    // Nobody that is seen follows it: its own connection is away, so it cannot take anybody up and hand over.
    let epoch = world.epoch;
    let asks = write(&TabFrame::Ask);
    world.tabs[0].as_mut().expect("the leader").deadline = None;
    let before = world.channel[0][1].len();
    world.input(0, Input::Heard(asks));
    assert_eq!(world.channel[0][1].len(), before + 1, "it says that it leads");
    assert_eq!(world.epoch, epoch);
}

#[test]
fn followers_that_nobody_sees_take_nothing() {
    let mut world = opened(2);
    let first = leader(&world);
    world.run(Op::Hide(1 - first));
    world.run(Op::Hang(first));
    live_through(&mut world, 60_000);
    assert_eq!(world.lock, Some(first));
    world.run(Op::Show(1 - first));
    live_through(&mut world, 10_000);
    assert_eq!(world.lock, Some(1 - first));
}
