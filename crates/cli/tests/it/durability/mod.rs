//! What was acknowledged or shown is kept: through kills, in the order of syncs, and when syncs fail.

mod crash;
mod sync;
mod trace;
mod writer;
