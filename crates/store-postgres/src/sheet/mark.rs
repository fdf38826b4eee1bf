//! What is to be done about a row.

/// What is to be done about a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mark {
    /// It is in the database as it is here.
    Kept,
    /// It is to be inserted.
    Fresh,
    /// It is to be updated.
    Changed,
}

impl Mark {
    /// What becomes of it when the row changes.
    pub(crate) fn touched(self) -> Self {
        match self {
            Self::Kept | Self::Changed => Self::Changed,
            Self::Fresh => Self::Fresh,
        }
    }
}
