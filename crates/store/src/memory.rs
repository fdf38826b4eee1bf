//! In-memory model.
/// placeholder
#[derive(Debug)]
pub struct MemoryStore;
