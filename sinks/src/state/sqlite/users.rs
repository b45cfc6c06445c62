//! Users, their logins, producers' tokens, and the log of all that.

use std::str::FromStr;

use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row, params};
use schemas::commit::StoreError;
use schemas::time::UnixMillis;
use schemas::users::{
    Digest, Entry, IngestToken, Login, LoginId, PasswordHash, RefreshDigests, Renewal, User,
    UserChange, UserName, UserStore,
};

use crate::sqlite::row::{Int, from_int, parse, to_int};
use crate::state::sqlite::SqliteState;

const USER: &str = "SELECT name, role, sources, enabled, password, generation, created_at_ms,
                           changed_at_ms
                    FROM users WHERE name = ?1";

const TOKEN: &str = "SELECT name, sources, digest, created_at_ms, expires_at_ms FROM ingest_tokens";

/// Rows that are deleted in one transaction, which holds up the others.
const DELETED_TOGETHER: u32 = 4096;

impl UserStore for SqliteState {
    fn add_user(&self, user: &User) -> Result<bool, StoreError> {
        self.write("add a user to", |connection| {
            let added = connection.execute(
                "INSERT INTO users (name, role, sources, enabled, password, generation,
                                    created_at_ms, changed_at_ms)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT DO NOTHING",
                params![
                    user.name.as_str(),
                    user.role.name(),
                    user.scope.to_string(),
                    user.enabled,
                    &*user.password.0,
                    Int(user.generation),
                    user.created_at.get(),
                    user.changed_at.get(),
                ],
            )?;
            Ok(added == 1)
        })
    }

    fn user(&self, name: &UserName) -> Result<Option<User>, StoreError> {
        self.read("read a user of", |connection| find(connection, name.as_str()))
    }

    fn users(&self) -> Result<Vec<User>, StoreError> {
        self.read("list the users of", |connection| {
            let mut list = connection.prepare_cached(
                "SELECT name, role, sources, enabled, password, generation, created_at_ms,
                        changed_at_ms
                 FROM users ORDER BY name",
            )?;
            list.query_map([], user)?.collect()
        })
    }

    fn change_user(
        &self,
        name: &UserName,
        change: &UserChange,
        at: UnixMillis,
    ) -> Result<bool, StoreError> {
        let (sql, value) = match change {
            UserChange::Password(hash) => {
                ("UPDATE users SET password = ?2 WHERE name = ?1", hash.0.to_string())
            }
            UserChange::Enabled(enabled) => (
                "UPDATE users SET enabled = CAST(?2 AS INTEGER) WHERE name = ?1",
                u8::from(*enabled).to_string(),
            ),
            UserChange::Role(role) => {
                ("UPDATE users SET role = ?2 WHERE name = ?1", role.to_string())
            }
            UserChange::Scope(scope) => {
                ("UPDATE users SET sources = ?2 WHERE name = ?1", scope.to_string())
            }
        };
        self.write("change a user in", |connection| {
            let changed = connection.execute(sql, params![name.as_str(), value])?;
            connection.execute(
                "UPDATE users SET changed_at_ms = ?2, generation = generation + ?3 WHERE name = ?1",
                params![name.as_str(), at.get(), change.ends_logins()],
            )?;
            if change.ends_logins() {
                connection.execute("DELETE FROM logins WHERE user = ?1", [name.as_str()])?;
            }
            Ok(changed == 1)
        })
    }

    fn begin_login(&self, login: &Login) -> Result<(), StoreError> {
        self.write("write a login to", |connection| {
            connection.execute(
                "DELETE FROM logins WHERE id IN
                     (SELECT id FROM logins WHERE expires_at_ms < ?1 LIMIT ?2)",
                params![login.begun_at.get(), DELETED_TOGETHER],
            )?;
            connection.execute(
                "INSERT INTO logins (id, user, generation, login_digest, newest_digest, begun_at_ms,
                                     expires_at_ms)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                params![
                    login.id.to_string(),
                    login.user.as_str(),
                    Int(login.generation),
                    login.digests.login.0,
                    login.digests.newest.0,
                    login.begun_at.get(),
                    login.expires_at.get(),
                ],
            )?;
            Ok(())
        })
    }

    fn login(&self, id: LoginId, now: UnixMillis) -> Result<Option<User>, StoreError> {
        self.read("read a login of", |connection| going_on(connection, id, now))
    }

    fn renew_login(
        &self,
        id: LoginId,
        presented: &RefreshDigests,
        next: &Digest,
        now: UnixMillis,
        expires_at: UnixMillis,
    ) -> Result<Renewal, StoreError> {
        self.write("renew a login in", |connection| {
            let Some(user) = going_on(connection, id, now)? else { return Ok(Renewal::Refused) };
            let (login, newest) = connection.query_row(
                "SELECT login_digest, newest_digest FROM logins WHERE id = ?1",
                [id.to_string()],
                |row| Ok((digest(row, 0)?, digest(row, 1)?)),
            )?;
            if login != presented.login {
                return Ok(Renewal::Refused);
            }
            if newest != presented.newest {
                connection.execute("DELETE FROM logins WHERE id = ?1", [id.to_string()])?;
                return Ok(Renewal::Reused(user.name));
            }
            connection.execute(
                "UPDATE logins SET newest_digest = ?2, expires_at_ms = ?3 WHERE id = ?1",
                params![id.to_string(), next.0, expires_at.get()],
            )?;
            Ok(Renewal::Renewed(user))
        })
    }

    fn end_login(&self, id: LoginId) -> Result<bool, StoreError> {
        self.write("end a login in", |connection| {
            let ended = connection.execute("DELETE FROM logins WHERE id = ?1", [id.to_string()])?;
            Ok(ended == 1)
        })
    }

    fn add_token(&self, token: &IngestToken) -> Result<bool, StoreError> {
        self.write("add a token to", |connection| {
            let added = connection.execute(
                "INSERT INTO ingest_tokens (name, sources, digest, created_at_ms, expires_at_ms)
                 VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (name) DO NOTHING",
                params![
                    token.name.as_str(),
                    token.scope.to_string(),
                    token.digest.0,
                    token.created_at.get(),
                    token.expires_at.map(UnixMillis::get),
                ],
            )?;
            Ok(added == 1)
        })
    }

    fn token(&self, digest: &Digest) -> Result<Option<IngestToken>, StoreError> {
        self.read("read a token of", |connection| {
            let mut find = connection.prepare_cached(&format!("{TOKEN} WHERE digest = ?1"))?;
            find.query_row([digest.0], token).optional()
        })
    }

    fn tokens(&self) -> Result<Vec<IngestToken>, StoreError> {
        self.read("list the tokens of", |connection| {
            let mut list = connection.prepare_cached(&format!("{TOKEN} ORDER BY name"))?;
            list.query_map([], token)?.collect()
        })
    }

    fn revoke_token(&self, name: &UserName) -> Result<bool, StoreError> {
        self.write("revoke a token in", |connection| {
            let revoked =
                connection.execute("DELETE FROM ingest_tokens WHERE name = ?1", [name.as_str()])?;
            Ok(revoked == 1)
        })
    }

    fn note(&self, entry: &Entry) -> Result<(), StoreError> {
        let Entry { at, who, from, what, whom, result } = entry.clone().shortened();
        self.write("write the log of logins and changes of", |connection| {
            connection.execute(
                "INSERT INTO access_log (at_ms, who, came_from, what, whom, result)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                params![at.get(), who, from, what, whom, result],
            )?;
            Ok(())
        })
    }

    fn entries(&self, before: Option<u64>, limit: u32) -> Result<Vec<(u64, Entry)>, StoreError> {
        self.read("read the log of logins and changes of", |connection| {
            let mut list = connection.prepare_cached(
                "SELECT id, at_ms, who, came_from, what, whom, result FROM access_log
                 WHERE id < ?1 ORDER BY id DESC LIMIT ?2",
            )?;
            let before = before.and_then(|before| i64::try_from(before).ok()).unwrap_or(i64::MAX);
            list.query_map(params![before, limit], |row| {
                let entry = Entry {
                    at: UnixMillis::new(row.get(1)?),
                    who: row.get(2)?,
                    from: row.get(3)?,
                    what: row.get(4)?,
                    whom: row.get(5)?,
                    result: row.get(6)?,
                };
                Ok((from_int(row, 0)?, entry))
            })?
            .collect()
        })
    }

    fn forget_entries(&self, moment: UnixMillis) -> Result<u64, StoreError> {
        self.write("delete from the log of logins and changes of", |connection| {
            let deleted = connection.execute(
                "DELETE FROM access_log WHERE id IN
                     (SELECT id FROM access_log WHERE at_ms < ?1 LIMIT ?2)",
                params![moment.get(), DELETED_TOGETHER],
            )?;
            Ok(to_int(deleted))
        })
    }
}

fn find(connection: &Connection, name: &str) -> rusqlite::Result<Option<User>> {
    connection.prepare_cached(USER)?.query_row([name], user).optional()
}

/// The user of a login that goes on.
fn going_on(
    connection: &Connection,
    id: LoginId,
    now: UnixMillis,
) -> rusqlite::Result<Option<User>> {
    let mut find = connection.prepare_cached(
        "SELECT u.name, u.role, u.sources, u.enabled, u.password, u.generation, u.created_at_ms,
                u.changed_at_ms
         FROM logins AS l JOIN users AS u ON u.name = l.user
         WHERE l.id = ?1 AND ?2 < l.expires_at_ms AND l.generation = u.generation
               AND u.enabled = 1",
    )?;
    find.query_row(params![id.to_string(), now.get()], user).optional()
}

fn user(row: &Row<'_>) -> rusqlite::Result<User> {
    Ok(User {
        name: word(row, 0)?,
        role: word(row, 1)?,
        scope: word(row, 2)?,
        enabled: row.get(3)?,
        password: PasswordHash(row.get(4)?),
        generation: from_int(row, 5)?,
        created_at: UnixMillis::new(row.get(6)?),
        changed_at: UnixMillis::new(row.get(7)?),
    })
}

fn token(row: &Row<'_>) -> rusqlite::Result<IngestToken> {
    Ok(IngestToken {
        name: word(row, 0)?,
        scope: word(row, 1)?,
        digest: digest(row, 2)?,
        created_at: UnixMillis::new(row.get(3)?),
        expires_at: row.get::<_, Option<i64>>(4)?.map(UnixMillis::new),
    })
}

fn digest(row: &Row<'_>, column: usize) -> rusqlite::Result<Digest> {
    parse(row, column, |bytes| bytes.try_into().map(Digest))
}

/// Reads a text column as what it names.
fn word<T>(row: &Row<'_>, column: usize) -> rusqlite::Result<T>
where
    T: FromStr<Err: std::error::Error + Send + Sync + 'static>,
{
    let text: String = row.get(column)?;
    text.parse().map_err(|error: T::Err| {
        rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(error))
    })
}
