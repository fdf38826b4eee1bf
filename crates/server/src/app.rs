//! What every route has at hand.

use std::sync::Arc;

use threadmill_engine::flags::Metric;
use threadmill_engine::{Engine, Share};
use threadmill_proto::Scope;

use crate::identity::guard::Guard;
use crate::problem::ApiProblem;
use crate::serve::connections::Connections;
use crate::serve::limiter::{Limiter, Live};
use crate::serve::peers::Peers;

/// What every route has.
#[derive(Debug, Clone)]
pub(crate) struct App {
    pub(crate) engine: Arc<Engine>,
    pub(crate) guard: Arc<Guard>,
    pub(crate) connections: Arc<Connections>,
    pub(crate) limiter: Arc<Limiter>,
    pub(crate) peers: Arc<Peers>,
}

impl App {
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
            user: self.engine.runs().running_of(scope),
            tenant: self.engine.runs().running_in(&scope.tenant),
            node: self.engine.runs().running(),
        };
        let place = self.limiter.start(scope, live)?;
        // An answer that may be complained of.
        self.engine.rollouts().record(scope, Metric::Complaints, 0.0);
        Ok(Some(place))
    }
}
