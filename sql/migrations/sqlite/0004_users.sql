-- Who may ask: users, their logins, producers' tokens, and the log of all that.
-- Meanings, units and invariants of every column: sql/README.md.

CREATE TABLE users (
    name          TEXT    NOT NULL PRIMARY KEY,
    role          TEXT    NOT NULL CHECK (role IN ('viewer', 'operator', 'ingest', 'admin')),
    sources       TEXT    NOT NULL,                 -- `all`, or numbers with commas between
    enabled       INTEGER NOT NULL CHECK (enabled IN (0, 1)),
    password      TEXT    NOT NULL,                 -- argon2id, never the password itself
    generation    INTEGER NOT NULL CHECK (0 < generation),
    created_at_ms INTEGER NOT NULL,
    changed_at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- One row a login that goes on; to delete it is to end it.
CREATE TABLE logins (
    id            TEXT    NOT NULL PRIMARY KEY,     -- UUID
    user          TEXT    NOT NULL REFERENCES users (name),
    generation    INTEGER NOT NULL,
    login_digest  BLOB    NOT NULL CHECK (length(login_digest) = 32),
    newest_digest BLOB    NOT NULL CHECK (length(newest_digest) = 32),
    begun_at_ms   INTEGER NOT NULL,
    expires_at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX logins_by_user ON logins (user);
CREATE INDEX logins_by_end ON logins (expires_at_ms);

CREATE TABLE ingest_tokens (
    name          TEXT    NOT NULL PRIMARY KEY,
    sources       TEXT    NOT NULL,
    digest        BLOB    NOT NULL UNIQUE CHECK (length(digest) = 32),
    created_at_ms INTEGER NOT NULL,
    expires_at_ms INTEGER
) STRICT, WITHOUT ROWID;

-- Numbers only grow, so a reader can go on where it stopped.
CREATE TABLE access_log (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    at_ms         INTEGER NOT NULL,
    who           TEXT    NOT NULL,
    came_from     TEXT    NOT NULL,
    what          TEXT    NOT NULL,
    whom          TEXT    NOT NULL,
    result        TEXT    NOT NULL
) STRICT;

CREATE INDEX access_log_by_time ON access_log (at_ms);
