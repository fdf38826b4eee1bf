//! What somebody does in a thread.

/// What somebody does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activity {
    /// Looks at it.
    Viewing,
    /// Writes something.
    Typing,
}

impl Activity {
    /// Its name. Frozen: it is what nodes tell each other.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Viewing => "viewing",
            Self::Typing => "typing",
        }
    }

    /// The one of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        [Self::Viewing, Self::Typing].into_iter().find(|activity| activity.name() == name)
    }
}
