//! Every open socket and what it is doing, so that one look finds those that are to be let go.
//!
//! | phase | begins | ends, if nothing else does |
//! |---|---|---|
//! | `Head` | the socket is accepted, or the first byte of a later request came | after `head` |
//! | `Busy` | a request's head is whole | with the answer's last byte; see *behind* |
//! | `Idle` | an answer is whole | after `idle`, or when a new peer needs the place |
//! | `Open` | a WebSocket begins | by its own heartbeat; see *behind* |
//! | `Leaving` | the last answer is sent, but not all of its request was read | after `LINGER` |
//!
//! A peer is **blocked** while it takes nothing of what it is sent, and **behind** while it has not taken all of it.
//! Blocked for `write_pause` it is cut. Where more than `unsent_bytes` wait on the node, those who have been behind for
//! longest are cut until three quarters of it are left. There are no timers for each socket: one task looks at all of
//! them, four times a second and when too much waits; 20,000 sockets are a millisecond.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Context;
use std::time::Duration;

use futures_util::task::AtomicWaker;
use threadmill_engine::{Account, Unsent};
use threadmill_proto::Scope;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::limits::HttpLimits;
use super::moment::{Moment, lock};
use super::refusals::{Refusal, Refusals};

/// Whoever is behind for less is not looked at when too much waits: everybody is for a moment.
const BEHIND_MS: Moment = 200;
/// How long what still comes of a request is thrown away after it was refused, so that its sender can read why.
const LINGER: Duration = Duration::from_secs(5);
/// What may come on a WebSocket before its client has said who it is: a Hello with its token.
const GREETING: u64 = 16 << 10;
/// Places that are made at once, so that a flood does not look at every socket for each new one.
const EVICTED_AT_ONCE: usize = 64;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Phase {
    Head,
    Busy,
    Idle,
    Open,
    Leaving,
}

/// One socket.
#[derive(Debug)]
pub(crate) struct Peer {
    id: u64,
    pub(crate) address: IpAddr,
    peers: Arc<Peers>,
    /// Beyond the places there are: it may ask whether the node is well, and nothing else.
    pub(crate) spare: bool,
    phase: AtomicU8,
    /// Since when it is in its phase.
    since: AtomicU64,
    /// Since when it is blocked and behind, plus one; 0 if it is not.
    blocked: AtomicU64,
    behind: AtomicU64,
    /// What it has not taken yet.
    pub(crate) account: Arc<Account>,
    /// Whether a request's body was dropped before its end.
    unread: AtomicBool,
    /// Whether the request that comes, or came, gives the length of its body twice.
    doubtful: AtomicBool,
    /// Bytes that came on a WebSocket before a caller was known.
    greeting: AtomicU64,
    /// Whether a caller was known on it.
    known: AtomicBool,
    ended: AtomicBool,
    task: AtomicWaker,
}

/// All of them.
#[derive(Debug)]
pub(crate) struct Peers {
    began: Instant,
    limits: Mutex<HttpLimits>,
    open: Mutex<HashMap<u64, Arc<Peer>>>,
    next: AtomicU64,
    unsent: Arc<Unsent>,
    /// A socket was closed.
    pub(crate) left: Notify,
}

/// Answers' bytes that are counted until they are sent, or given up.
#[derive(Debug)]
pub(crate) struct HeldBytes {
    peer: Arc<Peer>,
    bytes: usize,
}

impl Drop for HeldBytes {
    fn drop(&mut self) {
        self.peer.account.sub(self.bytes);
    }
}

impl Peer {
    fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Acquire) {
            phase if phase == Phase::Head as u8 => Phase::Head,
            phase if phase == Phase::Busy as u8 => Phase::Busy,
            phase if phase == Phase::Idle as u8 => Phase::Idle,
            phase if phase == Phase::Leaving as u8 => Phase::Leaving,
            _ => Phase::Open,
        }
    }

    fn enter(&self, phase: Phase) {
        self.since.store(self.peers.now(), Ordering::Relaxed);
        self.phase.store(phase as u8, Ordering::Release);
    }

    /// A request's head is whole.
    pub(crate) fn begin(&self) {
        self.unread.store(false, Ordering::Relaxed);
        self.enter(Phase::Busy);
    }

    /// The rest of the request's body will not be read.
    pub(crate) fn leave_unread(&self) {
        self.unread.store(true, Ordering::Relaxed);
    }

    /// Whether some of the last request will not be read.
    pub(super) fn left_unread(&self) -> bool {
        self.unread.load(Ordering::Relaxed)
    }

    /// All is sent and the socket ends. Whether there may be more to come of a request that was answered before it was
    /// whole; then it has `LINGER` from now.
    pub(crate) fn linger(&self) -> bool {
        match self.phase() {
            Phase::Leaving => return true,
            Phase::Open => return false,
            Phase::Busy | Phase::Idle if !self.left_unread() => return false,
            Phase::Head | Phase::Busy | Phase::Idle => self.enter(Phase::Leaving),
        }
        true
    }

    /// The answer is whole, unless what followed is a WebSocket.
    pub(crate) fn finish(&self) {
        if self.phase() != Phase::Open {
            self.enter(Phase::Idle);
        }
    }

    /// HTTP is over: a WebSocket follows.
    pub(crate) fn upgrade(&self) {
        self.enter(Phase::Open);
    }

    /// Nothing was asked since the last answer.
    pub(super) fn is_idle(&self) -> bool {
        self.phase() == Phase::Idle
    }

    /// A request's head is coming, or may begin.
    pub(super) fn is_asking(&self) -> bool {
        matches!(self.phase(), Phase::Head | Phase::Idle)
    }

    /// The request that comes cannot be read in one way only.
    pub(super) fn doubt(&self) {
        self.doubtful.store(true, Ordering::Relaxed);
    }

    /// Whether the request whose head is whole is such a one.
    pub(super) fn is_doubtful(&self) -> bool {
        self.doubtful.swap(false, Ordering::Relaxed)
    }

    pub(crate) fn is_open(&self) -> bool {
        self.phase() == Phase::Open
    }

    /// So many bytes came. Whether they are too many for a WebSocket on which nobody is known yet.
    pub(crate) fn heard(&self, bytes: usize) -> bool {
        match self.phase() {
            Phase::Idle => self.enter(Phase::Head),
            Phase::Open if !self.known.load(Ordering::Relaxed) => {
                return self.greeting.fetch_add(bytes as u64, Ordering::Relaxed) + bytes as u64 > GREETING;
            }
            Phase::Head | Phase::Busy | Phase::Open | Phase::Leaving => {}
        }
        false
    }

    /// A caller showed who they are.
    pub(crate) fn known(&self, scope: &Scope) {
        if !self.known.swap(true, Ordering::Relaxed) {
            self.account.belongs_to(scope);
        }
    }

    pub(crate) fn is_blocked(&self) -> bool {
        self.blocked.load(Ordering::Relaxed) > 0
    }

    /// Nothing of what it is sent was taken.
    pub(crate) fn block(&self) {
        let now = self.peers.now() + 1;
        let _ = self.blocked.compare_exchange(0, now, Ordering::Relaxed, Ordering::Relaxed);
        let _ = self.behind.compare_exchange(0, now, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// Something was taken.
    pub(crate) fn progress(&self) {
        self.blocked.store(0, Ordering::Relaxed);
    }

    /// Everything was taken.
    pub(crate) fn caught_up(&self) {
        self.blocked.store(0, Ordering::Relaxed);
        self.behind.store(0, Ordering::Relaxed);
    }

    /// Counts bytes as not sent until what is returned is dropped.
    pub(crate) fn hold(self: &Arc<Self>, bytes: usize) -> HeldBytes {
        self.account.add(bytes);
        HeldBytes { peer: Arc::clone(self), bytes }
    }

    /// Lets it go: its socket fails from now on, and its task is woken to see that.
    pub(crate) fn end(&self) {
        self.ended.store(true, Ordering::Release);
        self.task.wake();
    }

    /// Whether it was let go. The task is woken when it is.
    pub(crate) fn is_ended(&self, cx: &Context<'_>) -> bool {
        self.task.register(cx.waker());
        self.ended.load(Ordering::Acquire)
    }

    /// The socket is closed.
    pub(crate) fn leave(&self) {
        lock(&self.peers.open).remove(&self.id);
        self.peers.left.notify_waiters();
    }

    /// How long it is behind.
    fn behind_for(&self, now: Moment) -> Option<Moment> {
        let behind = self.behind.load(Ordering::Relaxed);
        (behind > 0).then(|| now.saturating_sub(behind - 1))
    }

    /// Why it is overdue, if it is.
    fn overdue(&self, now: Moment, limits: &HttpLimits) -> Option<Refusal> {
        let passed = |since: Moment, most: Duration| u128::from(now.saturating_sub(since)) >= most.as_millis();
        let blocked = self.blocked.load(Ordering::Relaxed);
        if blocked > 0 && passed(blocked - 1, limits.write_pause) {
            return Some(Refusal::Unread);
        }
        let since = self.since.load(Ordering::Relaxed);
        match self.phase() {
            Phase::Head => passed(since, limits.head).then_some(Refusal::SlowHead),
            Phase::Idle => passed(since, limits.idle).then_some(Refusal::Idle),
            Phase::Leaving => passed(since, LINGER).then_some(Refusal::UnreadBody),
            Phase::Busy | Phase::Open => None,
        }
    }

    /// How long it has asked for nothing, those that showed no credentials first.
    fn idle_rank(&self, now: Moment) -> Option<(bool, Moment)> {
        let since = self.since.load(Ordering::Relaxed);
        match self.phase() {
            Phase::Head | Phase::Idle | Phase::Leaving => {
                Some((!self.known.load(Ordering::Relaxed), now.saturating_sub(since)))
            }
            Phase::Busy | Phase::Open => None,
        }
    }

    /// How long it has asked for nothing, or for something, without credentials; those who ask for nothing first.
    fn unknown_rank(&self, now: Moment) -> Option<(bool, Moment)> {
        let asks = matches!(self.phase(), Phase::Busy | Phase::Open);
        let since = self.since.load(Ordering::Relaxed);
        (!self.known.load(Ordering::Relaxed)).then(|| (!asks, now.saturating_sub(since)))
    }
}

impl Peers {
    pub(crate) fn new(limits: HttpLimits, unsent: &Arc<Unsent>) -> Arc<Self> {
        unsent.bound(limits.unsent_bytes);
        Arc::new(Self {
            began: Instant::now(),
            limits: Mutex::new(limits),
            open: Mutex::default(),
            next: AtomicU64::new(0),
            unsent: Arc::clone(unsent),
            left: Notify::new(),
        })
    }

    /// From now on these hold.
    pub(crate) fn limit(&self, limits: HttpLimits) {
        self.unsent.bound(limits.unsent_bytes);
        *lock(&self.limits) = limits;
    }

    pub(crate) fn now(&self) -> Moment {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(Moment::MAX)
    }

    /// Enters a socket.
    pub(crate) fn enter(self: &Arc<Self>, address: IpAddr, spare: bool) -> Arc<Peer> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let peer = Arc::new(Peer {
            id,
            address,
            peers: Arc::clone(self),
            spare,
            phase: AtomicU8::new(Phase::Head as u8),
            since: AtomicU64::new(self.now()),
            blocked: AtomicU64::new(0),
            behind: AtomicU64::new(0),
            account: Arc::new(self.unsent.account()),
            unread: AtomicBool::new(false),
            doubtful: AtomicBool::new(false),
            greeting: AtomicU64::new(0),
            known: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            task: AtomicWaker::new(),
        });
        lock(&self.open).insert(id, Arc::clone(&peer));
        peer
    }

    pub(crate) fn count(&self) -> usize {
        lock(&self.open).len()
    }

    /// Sockets on which HTTP is not over.
    pub(crate) fn asking(&self) -> usize {
        lock(&self.open).values().filter(|peer| !matches!(peer.phase(), Phase::Open | Phase::Leaving)).count()
    }

    /// What waits to be sent.
    pub(crate) fn unsent(&self) -> &Arc<Unsent> {
        &self.unsent
    }

    fn all(&self) -> Vec<Arc<Peer>> {
        lock(&self.open).values().cloned().collect()
    }

    /// Whether an address has too many sockets on which nobody is known. Counted only where there are many at all.
    pub(crate) fn is_crowded_by(&self, address: IpAddr) -> bool {
        let open = lock(&self.open);
        let most = lock(&self.limits).unknown_connections;
        open.len() >= most
            && open.values().filter(|peer| peer.address == address && !peer.known.load(Ordering::Relaxed)).count()
                >= most
    }

    /// Lets some go that have asked for nothing for longest. Of one address, if one is named, and then those who showed no
    /// credentials, whatever they are at: a body that comes by the byte, or a WebSocket without a word, keeps no place.
    pub(crate) fn evict_idle(&self, of: Option<IpAddr>, refusals: &Refusals) {
        let now = self.now();
        let rank = |peer: &Peer| match of {
            None => peer.idle_rank(now),
            Some(address) => peer.unknown_rank(now).filter(|_| peer.address == address),
        };
        let mut idle: Vec<_> = self.all().into_iter().filter_map(|peer| Some((rank(&peer)?, peer))).collect();
        idle.sort_unstable_by(|(a, _), (b, _)| b.cmp(a));
        for (_, peer) in idle.into_iter().take(EVICTED_AT_ONCE) {
            refusals.note(Refusal::IdleEvicted);
            peer.end();
        }
    }

    /// Lets everything go that is overdue, and who is behind for longest where too much waits.
    pub(crate) fn sweep(&self, refusals: &Refusals) {
        let (now, all, limits) = (self.now(), self.all(), *lock(&self.limits));
        for peer in &all {
            if let Some(refusal) = peer.overdue(now, &limits) {
                refusals.note(refusal);
                peer.end();
            }
        }
        if self.unsent.is_pressed() {
            self.cut_behind(now, all, refusals);
        }
    }

    fn cut_behind(&self, now: Moment, all: Vec<Arc<Peer>>, refusals: &Refusals) {
        let mut behind: Vec<_> = all
            .into_iter()
            .filter_map(|peer| Some((peer.behind_for(now).filter(|behind| *behind >= BEHIND_MS)?, peer)))
            .collect();
        behind.sort_unstable_by_key(|(behind, _)| std::cmp::Reverse(*behind));
        let (mut left, most) = (self.unsent.all(), lock(&self.limits).unsent_bytes);
        for (_, peer) in behind {
            if left <= most / 4 * 3 {
                break;
            }
            let waits = peer.account.bytes();
            if waits > 0 {
                left = left.saturating_sub(waits);
                refusals.note(Refusal::UnsentBytes);
                peer.end();
            }
        }
    }

    /// Lets everybody go.
    pub(crate) fn end_all(&self) {
        for peer in self.all() {
            peer.end();
        }
    }
}

#[cfg(test)]
mod tests {
    use threadmill_proto::{TenantId, UserId};

    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    async fn pass(seconds: u64) {
        tokio::time::advance(Duration::from_secs(seconds)).await;
    }

    fn peers(limits: HttpLimits) -> Arc<Peers> {
        Peers::new(limits, &Arc::default())
    }

    fn ann() -> Scope {
        let (tenant, user) = (TenantId::parse("t").expect("an id"), UserId::parse("ann").expect("an id"));
        Scope { tenant, user }
    }

    fn ended(peer: &Peer) -> bool {
        peer.ended.load(Ordering::Acquire)
    }

    #[tokio::test(start_paused = true)]
    async fn each_phase_has_its_end() {
        let (peers, refusals) = (peers(HttpLimits::DEFAULT), Refusals::default());
        let [silent, idle, slow, busy, socket, leaving] = [(); 6].map(|()| peers.enter(HERE, false));
        for peer in [&idle, &slow, &busy, &socket, &leaving] {
            peer.begin();
        }
        assert!(!busy.linger(), "its request was read");
        leaving.leave_unread();
        leaving.finish();
        assert!(leaving.linger());
        socket.upgrade();
        socket.finish();
        idle.finish();
        slow.finish();
        pass(5).await;
        assert!(leaving.linger(), "asked again, it does not begin again");
        peers.sweep(&refusals);
        assert!(ended(&leaving));
        pass(4).await;
        slow.heard(1);
        peers.sweep(&refusals);
        assert!(![&silent, &idle, &slow, &busy, &socket].into_iter().any(|peer| ended(peer)));
        pass(1).await;
        peers.sweep(&refusals);
        assert!(ended(&silent) && !ended(&slow));
        pass(9).await;
        peers.sweep(&refusals);
        assert!(ended(&slow) && !ended(&idle), "a request that has begun has less time than one that has not");
        pass(56).await;
        peers.sweep(&refusals);
        assert!(ended(&idle) && !ended(&busy) && !ended(&socket));
    }

    #[tokio::test(start_paused = true)]
    async fn a_socket_without_a_hello_says_little() {
        let peers = peers(HttpLimits::DEFAULT);
        let [stranger, known] = [(); 2].map(|()| peers.enter(HERE, false));
        for peer in [&stranger, &known] {
            peer.begin();
            assert!(!peer.heard(1 << 20), "HTTP has limits of its own");
            peer.upgrade();
            assert!(!peer.heard(16 << 10));
        }
        known.known(&ann());
        assert!(stranger.heard(1) && !known.heard(1 << 20));
    }

    #[tokio::test(start_paused = true)]
    async fn who_takes_nothing_is_cut_and_who_takes_a_little_is_not() {
        let (peers, refusals) = (peers(HttpLimits::DEFAULT), Refusals::default());
        let [dead, slow] = [(); 2].map(|()| peers.enter(HERE, false));
        for peer in [&dead, &slow] {
            peer.begin();
            peer.block();
        }
        pass(29).await;
        slow.progress();
        slow.block();
        pass(1).await;
        peers.sweep(&refusals);
        assert!(ended(&dead) && !ended(&slow));
        assert_eq!(refusals.count(Refusal::Unread), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn where_too_much_waits_those_behind_for_longest_go() {
        let limits = HttpLimits { unsent_bytes: 1_000, ..HttpLimits::DEFAULT };
        let (peers, refusals) = (peers(limits), Refusals::default());
        let [first, second, third, quick] = [(); 4].map(|()| peers.enter(HERE, false));
        let mut held = Vec::new();
        for peer in [&first, &second, &third] {
            peer.begin();
            peer.block();
            held.push(peer.hold(300));
            pass(1).await;
        }
        held.push(quick.hold(200));
        peers.sweep(&refusals);
        assert!(ended(&first) && ended(&second) && !ended(&third) && !ended(&quick));
        held.clear();
        assert_eq!((peers.unsent().all(), refusals.count(Refusal::UnsentBytes)), (0, 2));
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_peer_takes_the_place_of_one_that_is_idle_and_unknown() {
        let (peers, refusals) = (peers(HttpLimits::DEFAULT), Refusals::default());
        let known: Vec<_> = (0..10).map(|_| peers.enter(HERE, false)).collect();
        for peer in &known {
            peer.begin();
            peer.known(&ann());
            peer.finish();
        }
        pass(5).await;
        let unknown: Vec<_> = (0..EVICTED_AT_ONCE).map(|_| peers.enter(HERE, false)).collect();
        let busy = peers.enter(HERE, false);
        busy.begin();
        peers.evict_idle(None, &refusals);
        assert!(unknown.iter().all(|peer| ended(peer)) && !known.iter().any(|peer| ended(peer)) && !ended(&busy));
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_with_too_many_unknown_peers_loses_those_that_are_busy_too() {
        let (peers, refusals) = (peers(HttpLimits::DEFAULT), Refusals::default());
        let elsewhere = peers.enter(IpAddr::from([10, 0, 0, 1]), false);
        let [known, body, socket] = [(); 3].map(|()| peers.enter(HERE, false));
        for peer in [&elsewhere, &known, &body, &socket] {
            peer.begin();
        }
        socket.upgrade();
        known.known(&ann());
        pass(1).await;
        peers.evict_idle(Some(HERE), &refusals);
        assert!(ended(&body) && ended(&socket) && !ended(&known) && !ended(&elsewhere));
    }
}
