//! HTTP around the engine.
//!
//! Rooms, each looking only at those before it (`cargo xtask tidy` checks that): `problem`, `serve` (sockets and what they
//! may take), `identity` (who asks), `app` and `ops` (what is counted), `request` (taking requests apart), `gate`, `api`,
//! `protocols`, `assets`, `routes`, `listen`. It knows no SQL and no store: it asks the engine's services.

mod api;
mod app;
mod assets;
mod gate;
mod identity;
mod listen;
mod ops;
mod problem;
mod protocols;
mod request;
mod routes;
mod serve;

pub use identity::auth::{Auth, Tokens};
pub use identity::guard::{Guard, dev_refusal};
pub use identity::link::Link;
pub use identity::names::{allowed_host, allowed_origin};
pub use listen::serve;
pub use problem::ApiProblem;
pub use serve::limits::{Cap, HttpLimits, Rates};
