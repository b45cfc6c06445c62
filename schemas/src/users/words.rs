//! Names, roles, and what is kept of secrets.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::source::SourceId;

/// What a user, or a producer's token, is called.
///
/// Invariant: 1 to 64 of `a`-`z`, `0`-`9`, `.`, `_`, `-` and `@`, beginning with a
/// letter or digit. So two names that look alike are one, on every store.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserName(Arc<str>);

/// A text that is no name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no name: it has 1 to 64 lower-case letters (a-z), digits, `.`, `_`, `-` or `@`, and \
     begins with a letter or digit"
)]
pub struct InvalidUserName(String);

impl UserName {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for UserName {
    type Err = InvalidUserName;

    fn from_str(text: &str) -> Result<UserName, InvalidUserName> {
        let first = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let later = |byte: u8| first(byte) || b"._-@".contains(&byte);
        match text.len() <= 64 && text.bytes().next().is_some_and(first) && text.bytes().all(later)
        {
            true => Ok(UserName(text.into())),
            false => Err(InvalidUserName(text.chars().take(80).collect())),
        }
    }
}

impl fmt::Display for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What somebody may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum UserRole {
    /// Reads.
    Viewer,
    /// Reads, and does what changes things.
    Operator,
    /// Appends frames, and nothing else.
    Ingest,
    /// Everything; also the log of logins and changes.
    Admin,
}

/// A text that names no role.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no role: it is viewer, operator, ingest or admin")]
pub struct NoSuchRole(String);

impl UserRole {
    pub const ALL: [UserRole; 4] =
        [UserRole::Viewer, UserRole::Operator, UserRole::Ingest, UserRole::Admin];

    pub const fn name(self) -> &'static str {
        match self {
            UserRole::Viewer => "viewer",
            UserRole::Operator => "operator",
            UserRole::Ingest => "ingest",
            UserRole::Admin => "admin",
        }
    }

    /// Whether this role reads.
    pub const fn reads(self) -> bool {
        !matches!(self, UserRole::Ingest)
    }

    /// Whether this role appends frames.
    pub const fn appends(self) -> bool {
        !matches!(self, UserRole::Viewer)
    }

    /// Whether this role does what changes things.
    pub const fn operates(self) -> bool {
        matches!(self, UserRole::Operator | UserRole::Admin)
    }
}

impl FromStr for UserRole {
    type Err = NoSuchRole;

    fn from_str(text: &str) -> Result<UserRole, NoSuchRole> {
        let found = UserRole::ALL.into_iter().find(|role| role.name() == text);
        found.ok_or_else(|| NoSuchRole(text.chars().take(80).collect()))
    }
}

impl fmt::Display for UserRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Which sources somebody may see, or append frames of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    All,
    Only(BTreeSet<SourceId>),
}

/// A text that names no sources.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} names no sources: it is `all`, or at most {SOURCES_MAX} numbers with commas between, as 1,2,7"
)]
pub struct InvalidScope(String);

/// Most sources in one list: what a column holds.
const SOURCES_MAX: usize = 1000;

impl Scope {
    /// Whether `source` is one of them.
    pub fn admits(&self, source: SourceId) -> bool {
        match self {
            Scope::All => true,
            Scope::Only(sources) => sources.contains(&source),
        }
    }
}

impl FromStr for Scope {
    type Err = InvalidScope;

    fn from_str(text: &str) -> Result<Scope, InvalidScope> {
        if text == "all" {
            return Ok(Scope::All);
        }
        let wrong = || InvalidScope(text.chars().take(80).collect());
        let sources = text.split(',').map(|source| source.trim().parse());
        let sources: BTreeSet<SourceId> = sources.collect::<Result<_, _>>().map_err(|_| wrong())?;
        match sources.len() <= SOURCES_MAX {
            true => Ok(Scope::Only(sources)),
            false => Err(wrong()),
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Scope::All => f.write_str("all"),
            Scope::Only(sources) => {
                let sources: Vec<String> = sources.iter().map(ToString::to_string).collect();
                f.write_str(&sources.join(","))
            }
        }
    }
}

/// The argon2id hash of a password, in its usual text form (PHC).
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(pub Arc<str>);

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(hidden)")
    }
}

/// The SHA-256 of a random secret.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest(pub [u8; 32]);

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digest(hidden)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_plain_and_lower_case() {
        for name in ["anne", "7", "a.b_c-d@farm.example", &"x".repeat(64)] {
            assert_eq!(name.parse::<UserName>().unwrap().as_str(), name);
        }
        for text in ["", "Anne", "anne ", ".anne", "-a", "é", "a/b", "a'b", &"x".repeat(65)] {
            assert!(text.parse::<UserName>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_scope_survives_its_text() {
        for (text, told) in [("all", "all"), ("2, 1,2", "1,2"), ("7", "7")] {
            let scope: Scope = text.parse().unwrap();
            assert_eq!(scope.to_string(), told);
            assert_eq!(told.parse(), Ok(scope));
        }
        for text in ["", "none", "0", "1,", "1,two"] {
            assert!(text.parse::<Scope>().is_err(), "{text}");
        }
        let many: Vec<String> = (1..=1001).map(|n: i32| n.to_string()).collect();
        assert!(many.join(",").parse::<Scope>().is_err());
    }

    #[test]
    fn a_role_survives_its_text() {
        for role in UserRole::ALL {
            assert_eq!(role.to_string().parse(), Ok(role));
        }
        assert!("root".parse::<UserRole>().is_err());
    }
}
