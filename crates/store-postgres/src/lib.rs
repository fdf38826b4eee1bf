//! The durable tier in PostgreSQL: what [`threadmill_store::DurableStore`] promises, for any number of nodes on one
//! database.
//!
//! `writer` is the one task that writes: it takes what waits, locks the rows in one order (`lock`), runs the
//! rules on a sheet of what they read (`sheet`), and writes what they left in one statement a table.
//! The rules are `threadmill_store::relational`; `read` gives them rows, `rows` holds columns, `schema` the layout and `versions` the way to it. `hints` carries word of commits
//! between nodes and `peers` answers for it, `origin` notices a database that was rewound, `maintenance` removes what is
//! gone, `moving` takes in what another store held.

mod chunks;
mod codec;
mod db;
mod durability;
mod explain;
mod fail;
mod hints;
mod maintenance;
mod moving;
mod named;
mod options;
mod origin;
mod peers;
mod probe;
mod read;
mod replicas;
mod rows;
mod schema;
mod session;
mod sheet;
mod store;
mod supervise;
mod versions;
mod writer;

pub use durability::Durability;
pub use explain::WindowCost;
pub use hints::{HintMode, Watch};
pub use moving::{Progress as MovingProgress, Target as MovingTarget};
pub use options::PostgresOptions;
pub use probe::{Probe, probe};
pub use replicas::ReplicaReading;
pub use store::PostgresStore;
