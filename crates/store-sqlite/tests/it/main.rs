//! What the SQLite store promises, tested from outside.

mod conformance;
mod cost;
mod directory;
mod fixture;
mod journal;
