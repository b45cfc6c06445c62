//! `[snapshots]` in `animov.toml`.

use std::fmt;
use std::num::NonZeroU64;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Deserializer};

use crate::config::{MIB, nonzero};
use crate::snapshots::janitor::Retention;

/// The environment variable of the password that goes with the user in
/// `snapshots.mongo.url`.
pub const MONGO_PASSWORD_ENV: &str = "ANIMOV_MONGO_PASSWORD";

/// `[snapshots]`: pictures with what was found in them.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SnapshotsConfig {
    /// Where they are kept: "sqlite", a file, or "mongo", a MongoDB server.
    /// Default: "sqlite".
    pub kind: SnapshotsKind,

    /// The file, where that is where they are kept.
    pub path: PathBuf,

    /// Snapshots captured longer ago than this are deleted. Default: 30days.
    #[serde(with = "humantime_serde")]
    pub retention_age: Duration,

    /// When the images are more than this, in bytes, the oldest snapshots are
    /// deleted. Default: 10737418240 (10 GiB).
    pub retention_bytes: NonZeroU64,

    /// `[snapshots.mongo]`
    pub mongo: MongoConfig,
}

/// Where snapshots are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SnapshotsKind {
    #[default]
    Sqlite,
    Mongo,
}

impl Default for SnapshotsConfig {
    fn default() -> SnapshotsConfig {
        SnapshotsConfig {
            kind: SnapshotsKind::default(),
            path: "animov-data/snapshots.sqlite".into(),
            retention_age: Duration::from_hours(30 * 24),
            retention_bytes: nonzero(10 * 1024 * MIB),
            mongo: MongoConfig::default(),
        }
    }
}

impl SnapshotsConfig {
    /// What the janitor keeps.
    pub fn retention(&self) -> Retention {
        Retention { age: self.retention_age, bytes: self.retention_bytes.get() }
    }
}

/// `[snapshots.mongo]`: the MongoDB server, where that is where they are kept.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MongoConfig {
    /// The server: `mongodb://` or `mongodb+srv://`, with options as MongoDB's
    /// own tools take them. The user's name may stand in it, the password comes
    /// from the environment. Default: `mongodb://127.0.0.1:27017`.
    pub url: MongoUrl,

    /// Default: "ANIMOV".
    #[serde(deserialize_with = "name")]
    pub database: String,

    /// The collection; other programs' documents in it are left alone. Default:
    /// "chevres".
    #[serde(deserialize_with = "name")]
    pub collection: String,

    /// How long to look for a server that answers. Default: 5s.
    #[serde(deserialize_with = "some_time")]
    pub connect_timeout: Duration,

    /// How long one call may take in all. Default: 30s.
    #[serde(deserialize_with = "some_time")]
    pub timeout: Duration,
}

impl Default for MongoConfig {
    fn default() -> MongoConfig {
        MongoConfig {
            url: MongoUrl("mongodb://127.0.0.1:27017".into()),
            database: "ANIMOV".into(),
            collection: "chevres".into(),
            connect_timeout: Duration::from_secs(5),
            timeout: Duration::from_secs(30),
        }
    }
}

/// Where a MongoDB server is.
///
/// Invariant: holds no password.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct MongoUrl(String);

/// A text that is no [`MongoUrl`]. It is not repeated: there may be a password
/// in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidMongoUrl {
    #[error("a MongoDB URL begins with mongodb:// or mongodb+srv:// and names a host")]
    Form,
    #[error(
        "the URL has a password in it: leave it out, and put it into the environment variable {MONGO_PASSWORD_ENV}"
    )]
    Password,
}

impl MongoUrl {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for MongoUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl TryFrom<String> for MongoUrl {
    type Error = InvalidMongoUrl;

    fn try_from(text: String) -> Result<MongoUrl, InvalidMongoUrl> {
        let schemes = ["mongodb://", "mongodb+srv://"];
        let rest = schemes.into_iter().find_map(|scheme| text.strip_prefix(scheme));
        let rest = rest.ok_or(InvalidMongoUrl::Form)?;
        // A user's name may hold neither of these, so what is before the last @
        // is the user's, also where it is not written as it should be.
        let (user, address) = rest.rsplit_once('@').unwrap_or(("", rest));
        if user.contains(':') {
            return Err(InvalidMongoUrl::Password);
        }
        let (address, options) = address.split_once('?').unwrap_or((address, ""));
        if options.to_ascii_lowercase().contains("password") {
            return Err(InvalidMongoUrl::Password);
        }
        match address.split('/').next() {
            None | Some("") => Err(InvalidMongoUrl::Form),
            Some(_) => Ok(MongoUrl(text)),
        }
    }
}

/// A database's or a collection's name, of what every server takes.
fn name<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    let name = String::deserialize(from)?;
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if (1..=60).contains(&name.len()) && name.chars().all(fits) {
        return Ok(name);
    }
    Err(serde::de::Error::custom(format!(
        "{name:?} is not a name of 1 to 60 letters, digits, _ and -"
    )))
}

fn some_time<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    let time: Duration = humantime_serde::deserialize(from)?;
    if time.is_zero() {
        return Err(serde::de::Error::custom("nothing can be done in no time; say \"5s\""));
    }
    Ok(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<SnapshotsConfig, String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

    #[test]
    fn an_empty_section_is_the_default_and_an_unknown_key_is_refused() {
        assert_eq!(read("{}"), Ok(SnapshotsConfig::default()));
        let mongo = read(r#"{"kind": "mongo", "mongo": {"database": "farm"}}"#).unwrap();
        assert_eq!((mongo.kind, &*mongo.mongo.database), (SnapshotsKind::Mongo, "farm"));
        assert_eq!(mongo.mongo.collection, "chevres");
        for wrong in [
            r#"{"kind": "files"}"#,
            r#"{"retention": "1h"}"#,
            r#"{"retention_bytes": 0}"#,
            r#"{"mongo": {"uri": "mongodb://h"}}"#,
            r#"{"mongo": {"database": ""}}"#,
            r#"{"mongo": {"collection": "a$b"}}"#,
            r#"{"mongo": {"timeout": "0s"}}"#,
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_url_may_hold_everything_but_a_password() {
        for url in [
            "mongodb://127.0.0.1:27017",
            "mongodb://goat@10.0.0.5:27017,10.0.0.6/admin?replicaSet=barn&tls=true",
            "mongodb+srv://goat@barn.example.net/?authSource=admin",
            "mongodb://%2Ftmp%2Fmongodb-27017.sock",
        ] {
            assert_eq!(MongoUrl::try_from(url.to_owned()).unwrap().as_str(), url);
        }
        for url in [
            "mongodb://goat:secret@h/",
            "mongodb://goat:se/cret@h/",
            "mongodb://goat:se@cret@h/",
            "mongodb+srv://:secret@h",
            "mongodb://h/?tlsCertificateKeyFilePassword=secret",
        ] {
            let refused = MongoUrl::try_from(url.to_owned()).unwrap_err();
            assert_eq!(refused, InvalidMongoUrl::Password, "{url}");
            assert!(!refused.to_string().contains("secret"));
        }
        for url in ["", "http://h", "mongodb://", "mongodb:///ANIMOV", "mongodb://goat@/"] {
            assert_eq!(MongoUrl::try_from(url.to_owned()), Err(InvalidMongoUrl::Form), "{url}");
        }
    }
}
