//! What a connection of either kind says to its driver.

/// What a connection says.
#[derive(Debug)]
pub(crate) enum Said {
    Opened,
    Closed,
    Frame(Vec<u8>),
    /// The request is answered, and another one is to follow: see `Link::flush`.
    GoesOn,
}
