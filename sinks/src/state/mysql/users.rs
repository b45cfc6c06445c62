//! Users, their logins, producers' tokens, and the log of all that.

use std::str::FromStr;

use schemas::commit::StoreError;
use schemas::time::UnixMillis;
use schemas::users::{
    Digest, Entry, IngestToken, Login, LoginId, PasswordHash, RefreshDigests, Renewal, User,
    UserChange, UserName, UserStore,
};
use sqlx::mysql::MySqlRow;
use sqlx::{Error, Row};

use crate::state::mysql::MySqlState;
use crate::state::mysql::connection::Link;
use crate::state::mysql::row::{Values, int, parse, text};

/// Rows that are deleted in one transaction, which holds up the others.
const DELETED_TOGETHER: u32 = 4096;

impl UserStore for MySqlState {
    fn add_user(&self, user: &User) -> Result<bool, StoreError> {
        // Whether it was there is asked in the same transaction, under its lock: the
        // rows that a statement has touched would not tell after a lost answer.
        self.write("add a user to", async |link| {
            let known = sqlx::query("SELECT 1 FROM users WHERE name = ? FOR UPDATE");
            if link.row(known.bind(user.name.as_str()), |_| Ok(())).await?.is_some() {
                return Ok(false);
            }
            let mut values = Values::default();
            values.text(user.name.as_str())?;
            values.text(user.role.name())?;
            values.text(&user.scope.to_string())?;
            values.small(u32::from(user.enabled))?;
            values.text(&user.password.0)?;
            values.int(user.generation)?;
            values.signed(user.created_at.get())?;
            values.signed(user.changed_at.get())?;
            let insert = sqlx::query_with(
                "INSERT INTO users (name, role, sources, enabled, password, generation,
                                    created_at_ms, changed_at_ms)
                 VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                values.into_arguments(),
            );
            link.execute(insert).await?;
            Ok(true)
        })
    }

    fn user(&self, name: &UserName) -> Result<Option<User>, StoreError> {
        self.read("read a user of", async |link| {
            let find = sqlx::query(
                "SELECT name, role, sources, enabled, password, generation, created_at_ms,
                        changed_at_ms
                 FROM users WHERE name = ?",
            );
            link.row(find.bind(name.as_str()), user).await
        })
    }

    fn users(&self) -> Result<Vec<User>, StoreError> {
        self.read("list the users of", async |link| {
            let list = sqlx::query(
                "SELECT name, role, sources, enabled, password, generation, created_at_ms,
                        changed_at_ms
                 FROM users ORDER BY name",
            );
            link.rows(list, user).await
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
                ("UPDATE users SET password = ? WHERE name = ?", hash.0.to_string())
            }
            UserChange::Enabled(enabled) => {
                ("UPDATE users SET enabled = ? WHERE name = ?", u8::from(*enabled).to_string())
            }
            UserChange::Role(role) => {
                ("UPDATE users SET role = ? WHERE name = ?", role.to_string())
            }
            UserChange::Scope(scope) => {
                ("UPDATE users SET sources = ? WHERE name = ?", scope.to_string())
            }
        };
        self.write("change a user in", async |link| {
            let known = sqlx::query("SELECT 1 FROM users WHERE name = ? FOR UPDATE");
            if link.row(known.bind(name.as_str()), |_| Ok(())).await?.is_none() {
                return Ok(false);
            }
            link.execute(sqlx::query(sql).bind(&value).bind(name.as_str())).await?;
            let stamp = sqlx::query(
                "UPDATE users SET changed_at_ms = ?, generation = generation + ? WHERE name = ?",
            );
            let ends = u32::from(change.ends_logins());
            link.execute(stamp.bind(at.get()).bind(ends).bind(name.as_str())).await?;
            if change.ends_logins() {
                let end = sqlx::query("DELETE FROM logins WHERE `user` = ?");
                link.execute(end.bind(name.as_str())).await?;
            }
            Ok(true)
        })
    }

    fn begin_login(&self, login: &Login) -> Result<(), StoreError> {
        self.write("write a login to", async |link| {
            let forget = sqlx::query("DELETE FROM logins WHERE expires_at_ms < ? LIMIT ?");
            link.execute(forget.bind(login.begun_at.get()).bind(DELETED_TOGETHER)).await?;
            let mut values = Values::default();
            values.text(&login.id.to_string())?;
            values.text(login.user.as_str())?;
            values.int(login.generation)?;
            values.bytes(&login.digests.login.0)?;
            values.bytes(&login.digests.newest.0)?;
            values.signed(login.begun_at.get())?;
            values.signed(login.expires_at.get())?;
            let insert = sqlx::query_with(
                "INSERT INTO logins (id, `user`, generation, login_digest, newest_digest,
                                     begun_at_ms, expires_at_ms)
                 VALUES (?, ?, ?, ?, ?, ?, ?)",
                values.into_arguments(),
            );
            link.execute(insert).await
        })
    }

    fn login(&self, id: LoginId, now: UnixMillis) -> Result<Option<User>, StoreError> {
        self.read("read a login of", async |link| {
            let find = sqlx::query(
                "SELECT u.name, u.role, u.sources, u.enabled, u.password, u.generation,
                        u.created_at_ms, u.changed_at_ms
                 FROM logins AS l JOIN users AS u ON u.name = l.`user`
                 WHERE l.id = ? AND ? < l.expires_at_ms AND l.generation = u.generation
                       AND u.enabled = 1",
            );
            link.row(find.bind(id.to_string()).bind(now.get()), user).await
        })
    }

    fn renew_login(
        &self,
        id: LoginId,
        presented: &RefreshDigests,
        next: &Digest,
        now: UnixMillis,
        expires_at: UnixMillis,
    ) -> Result<Renewal, StoreError> {
        self.write("renew a login in", async |link| {
            let find = sqlx::query(
                "SELECT `user`, generation, login_digest, newest_digest FROM logins
                 WHERE id = ? AND ? < expires_at_ms
                 FOR UPDATE",
            );
            let found = link.row(find.bind(id.to_string()).bind(now.get()), |row| {
                Ok((text(row, 0)?.to_owned(), int(row, 1)?, digest(row, 2)?, digest(row, 3)?))
            });
            let Some((name, generation, login, newest)) = found.await? else {
                return Ok(Renewal::Refused);
            };
            let Some(user) = enabled(link, &name, generation).await? else {
                return Ok(Renewal::Refused);
            };
            if login != presented.login {
                return Ok(Renewal::Refused);
            }
            if newest != presented.newest {
                let end = sqlx::query("DELETE FROM logins WHERE id = ?");
                link.execute(end.bind(id.to_string())).await?;
                return Ok(Renewal::Reused(user.name));
            }
            let renew =
                sqlx::query("UPDATE logins SET newest_digest = ?, expires_at_ms = ? WHERE id = ?");
            let renew = renew.bind(&next.0[..]).bind(expires_at.get()).bind(id.to_string());
            link.execute(renew).await?;
            Ok(Renewal::Renewed(user))
        })
    }

    fn end_login(&self, id: LoginId) -> Result<bool, StoreError> {
        self.write("end a login in", async |link| {
            let known = sqlx::query("SELECT 1 FROM logins WHERE id = ? FOR UPDATE");
            let known = link.row(known.bind(id.to_string()), |_| Ok(())).await?.is_some();
            if known {
                let end = sqlx::query("DELETE FROM logins WHERE id = ?");
                link.execute(end.bind(id.to_string())).await?;
            }
            Ok(known)
        })
    }

    fn add_token(&self, token: &IngestToken) -> Result<bool, StoreError> {
        self.write("add a token to", async |link| {
            let known = sqlx::query("SELECT 1 FROM ingest_tokens WHERE name = ? FOR UPDATE");
            if link.row(known.bind(token.name.as_str()), |_| Ok(())).await?.is_some() {
                return Ok(false);
            }
            let insert = sqlx::query(
                "INSERT INTO ingest_tokens (name, sources, digest, created_at_ms, expires_at_ms)
                 VALUES (?, ?, ?, ?, ?)",
            );
            let scope = token.scope.to_string();
            let insert = insert
                .bind(token.name.as_str())
                .bind(&scope)
                .bind(&token.digest.0[..])
                .bind(token.created_at.get())
                .bind(token.expires_at.map(UnixMillis::get));
            link.execute(insert).await?;
            Ok(true)
        })
    }

    fn token(&self, digest: &Digest) -> Result<Option<IngestToken>, StoreError> {
        self.read("read a token of", async |link| {
            let find = sqlx::query(
                "SELECT name, sources, digest, created_at_ms, expires_at_ms FROM ingest_tokens
                 WHERE digest = ?",
            );
            link.row(find.bind(&digest.0[..]), token).await
        })
    }

    fn tokens(&self) -> Result<Vec<IngestToken>, StoreError> {
        self.read("list the tokens of", async |link| {
            let list = sqlx::query(
                "SELECT name, sources, digest, created_at_ms, expires_at_ms FROM ingest_tokens
                 ORDER BY name",
            );
            link.rows(list, token).await
        })
    }

    fn revoke_token(&self, name: &UserName) -> Result<bool, StoreError> {
        self.write("revoke a token in", async |link| {
            let known = sqlx::query("SELECT 1 FROM ingest_tokens WHERE name = ? FOR UPDATE");
            let known = link.row(known.bind(name.as_str()), |_| Ok(())).await?.is_some();
            if known {
                let revoke = sqlx::query("DELETE FROM ingest_tokens WHERE name = ?");
                link.execute(revoke.bind(name.as_str())).await?;
            }
            Ok(known)
        })
    }

    fn note(&self, entry: &Entry) -> Result<(), StoreError> {
        let Entry { at, who, from, what, whom, result } = entry.clone().shortened();
        self.write("write the log of logins and changes of", async |link| {
            let insert = sqlx::query(
                "INSERT INTO access_log (at_ms, who, came_from, what, whom, result)
                 VALUES (?, ?, ?, ?, ?, ?)",
            );
            let insert = insert.bind(at.get()).bind(&who).bind(&from);
            link.execute(insert.bind(&what).bind(&whom).bind(&result)).await
        })
    }

    fn entries(&self, before: Option<u64>, limit: u32) -> Result<Vec<(u64, Entry)>, StoreError> {
        let before = before.and_then(|before| i64::try_from(before).ok()).unwrap_or(i64::MAX);
        self.read("read the log of logins and changes of", async |link| {
            let list = sqlx::query(
                "SELECT id, at_ms, who, came_from, what, whom, result FROM access_log
                 WHERE id < ? ORDER BY id DESC LIMIT ?",
            );
            let entry = |row: &MySqlRow| {
                let entry = Entry {
                    at: UnixMillis::new(row.try_get(1)?),
                    who: text(row, 2)?.to_owned(),
                    from: text(row, 3)?.to_owned(),
                    what: text(row, 4)?.to_owned(),
                    whom: text(row, 5)?.to_owned(),
                    result: text(row, 6)?.to_owned(),
                };
                Ok((int(row, 0)?, entry))
            };
            link.rows(list.bind(before).bind(limit), entry).await
        })
    }

    fn forget_entries(&self, moment: UnixMillis) -> Result<u64, StoreError> {
        self.write("delete from the log of logins and changes of", async |link| {
            // By their numbers: what is deleted is counted, and no gap is locked.
            let old =
                sqlx::query("SELECT id FROM access_log WHERE at_ms < ? ORDER BY at_ms LIMIT ?");
            let old = link.rows(old.bind(moment.get()).bind(DELETED_TOGETHER), |row| int(row, 0));
            let old = old.await?;
            let (Some(first), Some(last)) = (old.iter().min(), old.iter().max()) else {
                return Ok(0);
            };
            let mut values = Values::default();
            values.int(*first)?;
            values.int(*last)?;
            values.signed(moment.get())?;
            let delete = sqlx::query_with(
                "DELETE FROM access_log WHERE id BETWEEN ? AND ? AND at_ms < ?",
                values.into_arguments(),
            );
            link.execute(delete).await?;
            Ok(u64::try_from(old.len()).unwrap_or(u64::MAX))
        })
    }
}

/// The user of that name, if enabled and still of that generation.
async fn enabled(link: &mut Link, name: &str, generation: u64) -> sqlx::Result<Option<User>> {
    let mut values = Values::default();
    values.text(name)?;
    values.int(generation)?;
    let find = sqlx::query_with(
        "SELECT name, role, sources, enabled, password, generation, created_at_ms, changed_at_ms
         FROM users WHERE name = ? AND generation = ? AND enabled = 1",
        values.into_arguments(),
    );
    link.row(find, user).await
}

fn user(row: &MySqlRow) -> sqlx::Result<User> {
    Ok(User {
        name: word(row, 0)?,
        role: word(row, 1)?,
        scope: word(row, 2)?,
        enabled: row.try_get::<u8, _>(3)? == 1,
        password: PasswordHash(text(row, 4)?.into()),
        generation: int(row, 5)?,
        created_at: UnixMillis::new(row.try_get(6)?),
        changed_at: UnixMillis::new(row.try_get(7)?),
    })
}

fn token(row: &MySqlRow) -> sqlx::Result<IngestToken> {
    Ok(IngestToken {
        name: word(row, 0)?,
        scope: word(row, 1)?,
        digest: digest(row, 2)?,
        created_at: UnixMillis::new(row.try_get(3)?),
        expires_at: row.try_get::<Option<i64>, _>(4)?.map(UnixMillis::new),
    })
}

fn digest(row: &MySqlRow, column: usize) -> sqlx::Result<Digest> {
    parse(row, column, |bytes| bytes.try_into().map(Digest))
}

/// Reads a text column as what it names.
fn word<T>(row: &MySqlRow, column: usize) -> sqlx::Result<T>
where
    T: FromStr<Err: std::error::Error + Send + Sync + 'static>,
{
    text(row, column)?.parse().map_err(|error: T::Err| Error::ColumnDecode {
        index: column.to_string(),
        source: Box::new(error),
    })
}
