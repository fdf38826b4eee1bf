//! What every route has at hand.

use std::sync::{Arc, OnceLock};

use threadmill_engine::flags::Metric;
use threadmill_engine::{Engine, Share};
use threadmill_proto::Scope;

use crate::identity::guard::Guard;
use crate::identity::standing::Standing;
use crate::problem::ApiProblem;
use crate::process::Sampled;
use crate::serve::connections::Connections;
use crate::serve::limiter::{Limiter, Live};
use crate::serve::peers::Peers;

/// What every route has.
#[derive(Debug, Clone)]
pub(crate) struct App {
    pub(crate) engine: Arc<Engine>,
    pub(crate) standing: Arc<Standing>,
    pub(crate) connections: Arc<Connections>,
    pub(crate) limiter: Arc<Limiter>,
    pub(crate) peers: Arc<Peers>,
    pub(crate) process: Arc<Sampled>,
}

/// What of a server may be changed while it answers: who may ask, and how much callers may take. Empty until it is served.
#[derive(Debug, Default)]
pub struct Edge(OnceLock<Changeable>);

#[derive(Debug)]
struct Changeable {
    standing: Arc<Standing>,
    limiter: Arc<Limiter>,
    peers: Arc<Peers>,
}

impl Edge {
    /// This is the server.
    pub(crate) fn is_of(&self, app: &App) {
        // One edge is one server's: of a second one nothing can be changed by it.
        let (standing, limiter, peers) = (Arc::clone(&app.standing), Arc::clone(&app.limiter), Arc::clone(&app.peers));
        let _ = self.0.set(Changeable { standing, limiter, peers });
    }

    /// Changes the guard, its limits with it, for whoever asks from now on. False if nothing is served yet.
    pub fn change(&self, change: impl FnOnce(&mut Guard)) -> bool {
        let Some(server) = self.0.get() else { return false };
        let guard = server.standing.change(change);
        server.limiter.limit(guard.limits);
        server.peers.limit(guard.limits);
        true
    }
}

impl App {
    /// Who may ask, and for what, as it is now.
    pub(crate) fn guard(&self) -> Arc<Guard> {
        self.standing.guard()
    }

    /// A place for a page of an export, to be held until it is sent.
    pub(crate) fn place_to_export(&self, scope: &Scope) -> Result<Share, ApiProblem> {
        Ok(self.limiter.export(scope)?)
    }

    /// A place for a run that is about to be started, if one is wanted. What runs already the engine counts.
    pub(crate) fn place_to_run(&self, scope: &Scope, wanted: bool) -> Result<Option<Share>, ApiProblem> {
        if !wanted {
            return Ok(None);
        }
        let live = Live {
            user: self.engine.runs().live_of(scope),
            tenant: self.engine.runs().live_in(&scope.tenant),
            node: self.engine.runs().live(),
        };
        let place = self.limiter.start(scope, live)?;
        // An answer that may be complained of.
        self.engine.rollouts().record(scope, Metric::Complaints, 0.0);
        Ok(Some(place))
    }
}
