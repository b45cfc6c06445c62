//! Passwords: argon2id, and the same time for everybody.

use std::sync::LazyLock;

use argon2::password_hash::{PasswordHash as Phc, PasswordHasher, PasswordVerifier, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};
use schemas::users::PasswordHash;

use super::crypto::{self, NoRandomness};

/// Shortest password.
pub const PASSWORD_CHARS_MIN: usize = 10;

/// Longest password, in bytes.
pub const PASSWORD_BYTES_MAX: usize = 1024;

/// Memory of one hash, KiB: what OWASP recommends.
const MEMORY_KIB: u32 = 19 * 1024;

/// Passes over it.
const PASSES: u32 = 2;

/// Why a password is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasswordFault {
    #[error("the password has {0} characters; it needs {PASSWORD_CHARS_MIN} or more")]
    Short(usize),

    #[error("the password has more than {PASSWORD_BYTES_MAX} bytes")]
    Long,

    #[error("the password could not be hashed")]
    Unhashed,
}

/// The hash of a new password.
///
/// # Errors
///
/// It is too short or too long, or the system has no random numbers.
pub fn hash_password(password: &str) -> Result<PasswordHash, PasswordFault> {
    let chars = password.chars().count();
    if chars < PASSWORD_CHARS_MIN {
        return Err(PasswordFault::Short(chars));
    }
    if PASSWORD_BYTES_MAX < password.len() {
        return Err(PasswordFault::Long);
    }
    hashed(password).ok_or(PasswordFault::Unhashed)
}

fn argon2id() -> Argon2<'static> {
    let params = Params::new(MEMORY_KIB, PASSES, 1, None).unwrap_or_default();
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

fn hashed(password: &str) -> Option<PasswordHash> {
    let random: Result<[u8; 16], NoRandomness> = crypto::random();
    let salt = SaltString::encode_b64(&random.ok()?).ok()?;
    let hash = argon2id().hash_password(password.as_bytes(), &salt).ok()?;
    Some(PasswordHash(hash.to_string().into()))
}

/// Stands for the password of those who have none: nobody's, and as slow.
static NOBODYS: LazyLock<Option<PasswordHash>> = LazyLock::new(|| {
    let random: [u8; 32] = crypto::random().ok()?;
    let text: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    hashed(&text)
});

/// Whether `password` is the one of `hash`; without a hash it is not, after as much
/// time.
pub(super) fn is_password(password: &str, hash: Option<&PasswordHash>) -> bool {
    let Some(told) = hash.or(NOBODYS.as_ref()) else { return false };
    let is_it = Phc::new(&told.0)
        .and_then(|phc| argon2id().verify_password(password.as_bytes(), &phc))
        .is_ok();
    is_it && hash.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_known_by_its_hash_alone() {
        let hash = hash_password("correct horse").unwrap();
        assert!(hash.0.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", hash.0);
        assert!(is_password("correct horse", Some(&hash)));
        assert!(!is_password("correct Horse", Some(&hash)));
        assert!(!is_password("", Some(&hash)));
        assert!(!is_password("correct horse", None));
        assert_ne!(hash_password("correct horse").unwrap(), hash, "salted");
        let broken = PasswordHash("$argon2id$v=19$m=19456".into());
        assert!(!is_password("correct horse", Some(&broken)));
    }

    #[test]
    fn a_password_has_a_length() {
        assert_eq!(hash_password("é".repeat(9).as_str()), Err(PasswordFault::Short(9)));
        assert_eq!(hash_password(&"x".repeat(1025)), Err(PasswordFault::Long));
    }
}
