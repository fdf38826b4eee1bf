//! What the SQLite store promises, tested from outside.

mod conformance;
