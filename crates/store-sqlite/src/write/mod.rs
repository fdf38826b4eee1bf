//! What the writer does to the rows: the rules' rows on its connection, chunks in the journal, and the removal of what
//! was deleted. Everything here runs on the writer.

pub(crate) mod chunks;
pub(crate) mod operation;
pub(crate) mod removal;

pub(crate) use operation::Operation;
