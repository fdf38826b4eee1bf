//! Listening, serving each peer for as long as it keeps up, and stopping.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::any;
use threadmill_engine::Engine;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::identity::auth::Auth;
use crate::identity::guard::{Guard, dev_refusal, ops_refusal};
use crate::ops::api;
use crate::ops::state::{Ops, OpsSettings};
use crate::routes::{app, operators_alone, routes};
use crate::serve::accept::Acceptor;
use crate::serve::limiter::Limiter;
use crate::serve::peers::Peers;

/// How long answers under way may take once the node has left.
const FINISH: Duration = Duration::from_secs(1);
/// Between two looks at all peers.
const SWEEP: Duration = Duration::from_millis(250);
/// So many looks are between two times that forgotten rates are dropped.
const FORGET_EVERY: u32 = 40;

/// Serves until `stop` resolves, to how long runs are waited for: see [`Engine::leave`]. Until the node has left,
/// requests are answered.
///
/// # Errors
/// The dev identity may not be served on the address, or the listener failed.
pub async fn serve(
    engine: Arc<Engine>,
    mut guard: Guard,
    mut ops: OpsSettings,
    listener: TcpListener,
    stop: impl Future<Output = Duration>,
) -> std::io::Result<()> {
    let address: SocketAddr = listener.local_addr()?;
    if let (Auth::Dev | Auth::Link(_), Some(why)) = (&guard.auth, dev_refusal(address)) {
        return Err(std::io::Error::new(std::io::ErrorKind::PermissionDenied, why));
    }
    let alone = ops.listener.as_ref().map(TcpListener::local_addr).transpose()?;
    if let Some(why) = alone.and_then(|at| ops_refusal(at, &guard.ops)) {
        return Err(std::io::Error::new(std::io::ErrorKind::PermissionDenied, why));
    }
    guard.listens_on(address);
    let peers = Peers::new(guard.limits, engine.delivery().unsent());
    let app = app(Arc::clone(&engine), guard, Arc::clone(&peers));
    ops.edge.is_of(&app);
    let limiter = Arc::clone(&app.limiter);
    let state = Ops::new(&mut ops, engine.node().now());
    let operators = api::router(&app, Arc::clone(&state));
    let (router, alone) = match ops.listener {
        None => (routes(&app, Router::new().nest("/ops/api", operators)), None),
        Some(listener) => {
            let elsewhere = ["/ops", "/ops/", "/ops/{*path}"];
            let elsewhere = elsewhere.into_iter().fold(Router::new(), |to, path| to.route(path, any(api::elsewhere)));
            (routes(&app, elsewhere), Some((listener, operators_alone(&app, operators))))
        }
    };
    let (leave, leaving) = watch::channel(false);
    // Whatever is still open when this returns is closed with it.
    let mut tasks = JoinSet::new();
    tasks.spawn({
        let (engine, peers, limiter) = (Arc::clone(&engine), Arc::clone(&peers), Arc::clone(&limiter));
        async move { engine.supervised("peers", || sweep(Arc::clone(&peers), Arc::clone(&limiter))).await }
    });
    tasks.spawn({
        let engine = Arc::clone(&engine);
        async move { engine.supervised("ops", || Arc::clone(&state).keep(app.clone())).await }
    });
    if let Some((listener, router)) = alone {
        let (peers, limiter) = (Arc::clone(&peers), Arc::clone(&limiter));
        let acceptor = Acceptor { listener, peers, limiter, router, leaving: leaving.clone() };
        let engine = Arc::clone(&engine);
        tasks.spawn(async move { engine.supervised("accept-ops", || acceptor.run()).await });
    }
    let acceptor = Acceptor { listener, peers: Arc::clone(&peers), limiter, router, leaving };
    let accepting = tasks.spawn({
        let engine = Arc::clone(&engine);
        async move { engine.supervised("accept", || acceptor.run()).await }
    });
    engine.leave(stop.await).await;
    accepting.abort();
    leave.send_replace(true);
    // Answers under way go out; connections that stay open for live delivery are cut.
    let _ = tokio::time::timeout(FINISH, drained(&peers)).await;
    peers.end_all();
    Ok(())
}

/// Lets overdue peers go, says what was refused, and forgets who has not asked for long.
async fn sweep(peers: Arc<Peers>, limiter: Arc<Limiter>) {
    let mut looks = tokio::time::interval(SWEEP);
    looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut count = 0_u32;
    loop {
        tokio::select! {
            _ = looks.tick() => {}
            () = peers.unsent().pressed.notified() => {}
        }
        peers.sweep(&limiter.refusals);
        limiter.refusals.say(peers.now());
        count = count.wrapping_add(1);
        if count.is_multiple_of(FORGET_EVERY) {
            limiter.forget();
        }
    }
}

/// Resolves when no request is being answered any more.
async fn drained(peers: &Peers) {
    loop {
        let left = peers.left.notified();
        if peers.asking() == 0 {
            return;
        }
        left.await;
    }
}
