//! What the SQLite store promises, tested from outside.

mod conformance;
mod copies;
mod cost;
mod directory;
mod files;
mod fixture;
mod journal;
mod later;
mod removal;
