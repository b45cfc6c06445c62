//! The seam between those who may ask and the tables: users, their logins, the
//! tokens of producers, and the log of who did what.
//!
//! # Invariants
//!
//! - No secret is in the tables: of a password there is its argon2id hash, of a
//!   token the digest of its random bytes.
//! - A login goes on exactly as long as its row is there, is not expired, and has
//!   its user's generation. A new password, and disabling, raise the generation and
//!   delete the rows in one transaction.
//! - Of a login one refresh token is good at a time. Whoever presents an earlier
//!   one ends the login: one of two who have the token is a thief.

mod words;

use std::fmt;

use uuid::Uuid;

use crate::commit::StoreError;
use crate::time::UnixMillis;
pub use words::{Digest, InvalidScope, InvalidUserName, NoSuchRole, PasswordHash, Scope};
pub use words::{UserName, UserRole};

/// A person who may log in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    pub name: UserName,
    pub role: UserRole,
    /// The sources that this user may see.
    pub scope: Scope,
    pub enabled: bool,
    pub password: PasswordHash,
    /// Grows when all logins so far have ended; a token names it.
    pub generation: u64,
    pub created_at: UnixMillis,
    pub changed_at: UnixMillis,
}

/// What about a user becomes another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UserChange {
    /// Ends all logins.
    Password(PasswordHash),
    /// Disabling ends all logins.
    Enabled(bool),
    Role(UserRole),
    Scope(Scope),
}

impl UserChange {
    /// Whether the logins so far end with it.
    pub const fn ends_logins(&self) -> bool {
        matches!(self, UserChange::Password(_) | UserChange::Enabled(false))
    }
}

/// Names a login.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LoginId(pub Uuid);

impl fmt::Display for LoginId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a refresh token's bearer knows of a login, digested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RefreshDigests {
    /// Of the secret that all refresh tokens of a login share: who has it had one.
    pub login: Digest,
    /// Of the secret that only the newest has.
    pub newest: Digest,
}

/// One login: from the password to the last refresh.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    pub id: LoginId,
    pub user: UserName,
    /// The user's at that time.
    pub generation: u64,
    pub digests: RefreshDigests,
    pub begun_at: UnixMillis,
    pub expires_at: UnixMillis,
}

/// What became of a refresh token that was presented.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Renewal {
    /// It was good, and the next one is in its place.
    Renewed(User),
    /// It had been used before; the login has ended.
    Reused(UserName),
    /// No login that goes on has it.
    Refused,
}

/// What a producer presents to append frames, as the tables know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IngestToken {
    /// What people call it; no two have one name.
    pub name: UserName,
    /// Of the sources that frames may come from.
    pub scope: Scope,
    pub digest: Digest,
    pub created_at: UnixMillis,
    /// None if it does not expire.
    pub expires_at: Option<UnixMillis>,
}

/// One line of the log of logins and changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub at: UnixMillis,
    /// Who did it, or said to be: a user's name, or that of the operating system's.
    pub who: String,
    /// From which address; `command line` for a command.
    pub from: String,
    /// `login`, `password`, `token add` …
    pub what: String,
    /// On which user or token; empty where that is `who`.
    pub whom: String,
    /// `ok`, or why not.
    pub result: String,
}

/// The longest text in a column of an [`Entry`], in bytes.
pub const ENTRY_BYTES_MAX: usize = 190;

impl Entry {
    /// The same, with every text short enough for its column.
    #[must_use]
    pub fn shortened(mut self) -> Entry {
        for text in
            [&mut self.who, &mut self.from, &mut self.what, &mut self.whom, &mut self.result]
        {
            let mut end = ENTRY_BYTES_MAX.min(text.len());
            while !text.is_char_boundary(end) {
                end -= 1;
            }
            text.truncate(end);
        }
        self
    }
}

/// The part of the tables that knows users; see the [module](self).
///
/// Calls block and every wait ends; asynchronous callers use a blocking task.
pub trait UserStore: Send + Sync {
    /// Adds a user; false, and nothing is changed, if there is one of that name.
    ///
    /// # Errors
    ///
    /// The store cannot be reached or written.
    fn add_user(&self, user: &User) -> Result<bool, StoreError>;

    /// The user of that name.
    ///
    /// # Errors
    ///
    /// The store cannot be reached or read.
    fn user(&self, name: &UserName) -> Result<Option<User>, StoreError>;

    /// All users, by name.
    ///
    /// # Errors
    ///
    /// The store cannot be reached or read.
    fn users(&self) -> Result<Vec<User>, StoreError>;

    /// Changes a user, and ends the logins that [the change](UserChange) ends;
    /// false if there is no such user.
    ///
    /// # Errors
    ///
    /// The store cannot be reached or written.
    fn change_user(
        &self,
        name: &UserName,
        change: &UserChange,
        at: UnixMillis,
    ) -> Result<bool, StoreError>;

    /// Keeps a login, and forgets some that have expired.
    ///
    /// # Errors
    ///
    /// The store cannot be reached or written.
    fn begin_login(&self, login: &Login) -> Result<(), StoreError>;

    /// The user of a login that goes on at `now`.
    ///
    /// # Errors
    ///
    /// The store cannot be reached or read.
    fn login(&self, id: LoginId, now: UnixMillis) -> Result<Option<User>, StoreError>;

    /// Puts `next` in the place of the newest refresh token that was `presented`, and
    /// has the login expire at `expires_at`. Of several callers with one token one
    /// is answered [`Renewal::Renewed`], at most.
    ///
    /// # Errors
    ///
    /// The store cannot be reached or written.
    fn renew_login(
        &self,
        id: LoginId,
        presented: &RefreshDigests,
        next: &Digest,
        now: UnixMillis,
        expires_at: UnixMillis,
    ) -> Result<Renewal, StoreError>;

    /// Ends a login; false if it was none.
    ///
    /// # Errors
    ///
    /// The store cannot be reached or written.
    fn end_login(&self, id: LoginId) -> Result<bool, StoreError>;

    /// Adds a producer's token; false, and nothing is changed, if there is one of
    /// that name.
    ///
    /// # Errors
    ///
    /// The store cannot be reached or written.
    fn add_token(&self, token: &IngestToken) -> Result<bool, StoreError>;

    /// The producer's token with that digest, whether it has expired or not.
    ///
    /// # Errors
    ///
    /// The store cannot be reached or read.
    fn token(&self, digest: &Digest) -> Result<Option<IngestToken>, StoreError>;

    /// All tokens of producers, by name.
    ///
    /// # Errors
    ///
    /// The store cannot be reached or read.
    fn tokens(&self) -> Result<Vec<IngestToken>, StoreError>;

    /// Forgets a producer's token; false if there is none of that name.
    ///
    /// # Errors
    ///
    /// The store cannot be reached or written.
    fn revoke_token(&self, name: &UserName) -> Result<bool, StoreError>;

    /// Adds a line to the log, durably.
    ///
    /// # Errors
    ///
    /// The store cannot be reached or written.
    fn note(&self, entry: &Entry) -> Result<(), StoreError>;

    /// The newest `limit` lines of the log with a number below `before`, the newest
    /// first, each with its number.
    ///
    /// # Errors
    ///
    /// The store cannot be reached or read.
    fn entries(&self, before: Option<u64>, limit: u32) -> Result<Vec<(u64, Entry)>, StoreError>;

    /// Deletes lines of the log from before `moment`, some thousands at most;
    /// returns how many.
    ///
    /// # Errors
    ///
    /// The store cannot be reached or written.
    fn forget_entries(&self, moment: UnixMillis) -> Result<u64, StoreError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_cut_between_characters() {
        let who = "é".repeat(200);
        let text = String::new;
        let entry = Entry {
            at: UnixMillis::new(0),
            who,
            from: text(),
            what: text(),
            whom: text(),
            result: text(),
        };
        assert_eq!(entry.shortened().who, "é".repeat(ENTRY_BYTES_MAX / 2));
    }
}
