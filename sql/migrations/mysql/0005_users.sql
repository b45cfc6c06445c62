-- Who may ask: users, their logins, producers' tokens, and the log of all that.
-- Meanings, units and invariants of every column: sql/README.md.

CREATE TABLE IF NOT EXISTS users (
    name          VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY,
    role          VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL
                  CHECK (role IN ('viewer', 'operator', 'ingest', 'admin')),
    sources       TEXT CHARACTER SET ascii COLLATE ascii_bin NOT NULL,          -- `all`, or numbers with commas between
    enabled       TINYINT UNSIGNED NOT NULL CHECK (enabled IN (0, 1)),
    password      VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,  -- argon2id, never the password itself
    generation    BIGINT NOT NULL CHECK (0 < generation),
    created_at_ms BIGINT NOT NULL,
    changed_at_ms BIGINT NOT NULL
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC;

-- One row a login that goes on; to delete it is to end it.
CREATE TABLE IF NOT EXISTS logins (
    id            CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY,
    `user`        VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    generation    BIGINT NOT NULL,
    login_digest  BINARY(32) NOT NULL,
    newest_digest BINARY(32) NOT NULL,
    begun_at_ms   BIGINT NOT NULL,
    expires_at_ms BIGINT NOT NULL,
    KEY logins_by_user (`user`),
    KEY logins_by_end (expires_at_ms)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC;

CREATE TABLE IF NOT EXISTS ingest_tokens (
    name          VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY,
    sources       TEXT CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    digest        BINARY(32) NOT NULL,
    created_at_ms BIGINT NOT NULL,
    expires_at_ms BIGINT NULL,
    UNIQUE KEY ingest_tokens_by_digest (digest)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC;

-- Numbers only grow, so a reader can go on where it stopped.
CREATE TABLE IF NOT EXISTS access_log (
    id            BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    at_ms         BIGINT NOT NULL,
    who           VARCHAR(190) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    came_from     VARCHAR(190) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    what          VARCHAR(190) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    whom          VARCHAR(190) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    result        VARCHAR(190) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    KEY access_log_by_time (at_ms)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC;
