//! The durable tier in one SQLite file: what [`threadmill_store::DurableStore`] promises, for one node that holds
//! its directory alone.
//!
//! `writer` is the one thread that writes: group commit, savepoints, fail-stop. `write` says what a transaction
//! does to the rows, `read` what a page is made of, `rows` holds the SQL of single rows, `schema` the file's
//! layout and `versions` the way to it. A window costs the same on a thread of any length; [`SqliteStore::window_cost`] lets a test say so.

mod codec;
mod copy;
mod db;
mod directory;
mod fail;
mod files;
mod live;
mod moving;
mod named;
mod open;
mod options;
mod pool;
mod read;
mod rows;
mod schema;
mod store;
mod stream;
mod versions;
mod write;
mod writer;

pub use copy::{Copied, Inspection, back_up, inspect};
pub use db::Cost as WindowCost;
pub use moving::Source as MovingSource;
pub use options::SqliteOptions;
pub use store::SqliteStore;
