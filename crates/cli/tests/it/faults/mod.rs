//! Nodes under load while what they stand on fails: every operation and everything that was delivered goes into a
//! history, and a checker decides from that and the durable log whether all promises were kept.

mod checker;
mod history;
mod hot;
mod load;
mod measure;
mod model;
mod nodes;
mod planted;
mod proxy;
mod recorder;
mod under;
mod watcher;
mod world;
