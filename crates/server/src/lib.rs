//! HTTP around the engine.
//!
//! Rooms, each looking only at those before it (`cargo xtask tidy` checks that): `problem`, `process` (what the system says of
//! this process), `serve` (sockets and what they may take), `identity` (who asks), `app`, `request` (taking requests apart), `ops` (what is counted, and the operators' API),
//! `gate`, `api`, `protocols`, `assets`, `routes`, `listen`. It knows no SQL and no store: it asks the engine's services.

mod api;
mod app;
mod assets;
mod gate;
mod identity;
mod listen;
mod ops;
mod problem;
mod process;
mod protocols;
mod request;
mod routes;
mod serve;

pub use app::Edge;
pub use identity::auth::{Auth, Tokens};
pub use identity::guard::{Guard, Reports, dev_refusal, ops_refusal};
pub use identity::link::Link;
pub use identity::names::{allowed_host, allowed_origin};
pub use identity::ops_token::OpsToken;
pub use listen::serve;
pub use ops::state::{OpsSettings, Reload, Reloaded};
pub use problem::ApiProblem;
pub use serve::limits::{Cap, HttpLimits, Rates};
