//! What operators do at a running server: each command asks its ops API through [`server`], with their token.

pub(crate) mod analytics;
pub(crate) mod budgets;
pub(crate) mod retention;
pub(crate) mod rollout;
mod server;
pub(crate) mod top;
pub(crate) mod webhooks;
