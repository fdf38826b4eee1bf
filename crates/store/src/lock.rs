//! Locks: what is asked of one, what is answered, and the rules by which every store decides.

use threadmill_proto::{LockName, Millis, UserId};

use crate::{StoreError, StoreResult};

/// The longest time a grant may have, in milliseconds. A row that claims more was written while the clock was wrong.
pub const LONGEST_GRANT: Millis = 60 * 60 * 1000;

/// A grant of a lock, as a write names it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct LockToken {
    /// The lock.
    pub name: LockName,
    /// The fencing token that came with the grant.
    pub token: u64,
}

/// A wish to hold a lock.
#[derive(Debug, Clone)]
pub struct LockRequest {
    /// The lock.
    pub name: LockName,
    /// The caller's name for this one holding. Asking again with it finds the grant whose answer was lost.
    pub holder: String,
    /// When it may be granted to another.
    pub until: Millis,
    /// The caller's time, which decides whether another's grant has run out.
    pub now: Millis,
}

/// A grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LockGrant {
    /// What writes under the lock name.
    pub token: u64,
    /// Since when it is held.
    pub since: Millis,
    /// When it may be granted to another.
    pub until: Millis,
    /// What was found.
    pub how: HowGranted,
}

/// What a grant found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HowGranted {
    /// Nobody held the lock.
    Free,
    /// Somebody had let its time run out.
    Expired,
    /// The holder has it already.
    Again,
}

/// What a wish is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockAnswer {
    /// The lock is the caller's.
    Granted(LockGrant),
    /// Somebody holds it until then, if they do not let go before.
    Held {
        /// When their time runs out.
        until: Millis,
    },
}

/// How a lock stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LockRead {
    /// The newest token granted; 0 for none ever.
    pub token: u64,
    /// It was not given back. Whether its time has run out is for the reader's clock to say.
    pub held: bool,
    /// Since when it is, or was, held.
    pub since: Millis,
    /// When it may be granted to another.
    pub until: Millis,
}

/// A lock as a store keeps it. It is never removed: its tokens go on where they were.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LockRow {
    /// The newest token granted; 0 for none ever.
    pub token: u64,
    /// Whose the newest grant is.
    pub owner: Option<UserId>,
    /// The owner's name for it.
    pub holder: String,
    /// Since when.
    pub since: Millis,
    /// Until when.
    pub until: Millis,
    /// It was given back.
    pub released: bool,
}

impl LockRow {
    /// Decides on a wish; `epoch` is the store's, and tokens count on from it.
    ///
    /// A grant of an earlier epoch is still held, but writes nothing: its holder asks again and gets a new token.
    pub fn acquire(&mut self, user: &UserId, request: &LockRequest, epoch: u64) -> LockAnswer {
        let held = self.token > 0 && !self.released;
        self.distrust_clock(request.now);
        if held && self.until > request.now {
            if !self.is_of(user) || self.holder != request.holder {
                return LockAnswer::Held { until: self.until };
            }
            if self.token <= epoch {
                self.token = epoch + 1;
            }
            self.until = self.until.max(request.until);
            return LockAnswer::Granted(self.grant(HowGranted::Again));
        }
        *self = Self {
            token: self.token.max(epoch) + 1,
            owner: Some(user.clone()),
            holder: request.holder.clone(),
            since: request.now,
            until: request.until,
            released: false,
        };
        LockAnswer::Granted(self.grant(if held { HowGranted::Expired } else { HowGranted::Free }))
    }

    /// Moves the end of the user's grant.
    ///
    /// # Errors
    /// `Superseded` if it is not the newest one, of an earlier epoch, not the user's, or given back.
    pub fn renew(&mut self, user: &UserId, token: u64, until: Millis, epoch: u64) -> StoreResult<LockGrant> {
        self.own(user, token, epoch)?;
        if self.released {
            return Err(StoreError::Superseded);
        }
        self.until = until;
        Ok(self.grant(HowGranted::Again))
    }

    /// Gives the user's grant back. One of an earlier epoch too: that frees what the row says is held, and its token
    /// writes nothing either way.
    ///
    /// # Errors
    /// `Superseded` if it is not the newest one, or not the user's.
    pub fn release(&mut self, user: &UserId, token: u64) -> StoreResult<LockGrant> {
        if token == 0 || token != self.token || !self.is_of(user) {
            return Err(StoreError::Superseded);
        }
        self.released = true;
        Ok(self.grant(HowGranted::Again))
    }

    /// Lets a write pass that names this token. After the epoch was raised none of an earlier one passes: newer ones may
    /// have been granted, and forgotten with the rest.
    ///
    /// # Errors
    /// `Superseded` if it is not the newest one granted.
    pub fn admit(&self, token: u64, epoch: u64) -> StoreResult<()> {
        if token > epoch && token == self.token { Ok(()) } else { Err(StoreError::Superseded) }
    }

    /// How it stands.
    #[must_use]
    pub fn read(&self) -> LockRead {
        let held = self.token > 0 && !self.released;
        LockRead { token: self.token, held, since: self.since, until: self.until }
    }

    /// Bounds how long a grant is held that was written by another clock than the one that asks. One that begins later
    /// than now lasts from now on as long as it was to last; none ends later than [`LONGEST_GRANT`] from now. The row
    /// keeps what was decided, so that the time runs down.
    fn distrust_clock(&mut self, now: Millis) {
        if self.since > now {
            self.until = now.saturating_add(self.until.saturating_sub(self.since).min(LONGEST_GRANT));
            self.since = now;
        }
        self.until = self.until.min(now.saturating_add(LONGEST_GRANT));
    }

    fn is_of(&self, user: &UserId) -> bool {
        self.owner.as_ref() == Some(user)
    }

    fn own(&self, user: &UserId, token: u64, epoch: u64) -> StoreResult<()> {
        self.admit(token, epoch)?;
        if self.is_of(user) { Ok(()) } else { Err(StoreError::Superseded) }
    }

    fn grant(&self, how: HowGranted) -> LockGrant {
        LockGrant { token: self.token, since: self.since, until: self.until, how }
    }
}
