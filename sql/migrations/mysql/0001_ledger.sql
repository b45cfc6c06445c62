-- What was read, what was counted already, and what was put aside.
-- Meanings, units and invariants of every column: sql/README.md.
--
-- For MySQL 8 and MariaDB 10.6. Neither can take back a CREATE, so everything here
-- can be run again where it was interrupted.
--
-- Metrics are kept as bytes: every collation that both servers know would take
-- "goat" and "goat " for one.

-- One row: what shapes the windows and must never change under them.
CREATE TABLE IF NOT EXISTS shape (
    id      TINYINT UNSIGNED NOT NULL PRIMARY KEY CHECK (id = 1),
    zone    VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,      -- IANA zone of the civil days
    metrics MEDIUMTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL     -- JSON: metric name -> class names
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC;

-- One row a partition of a log: the ledger.
CREATE TABLE IF NOT EXISTS partitions (
    log          VARCHAR(512) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    `partition`  INT UNSIGNED NOT NULL,
    owner_epoch  BIGINT NOT NULL CHECK (0 < owner_epoch),
    first_offset BIGINT NOT NULL CHECK (0 <= first_offset),
    next_offset  BIGINT NOT NULL,
    `read`       BIGINT NOT NULL CHECK (0 <= `read`),
    accepted     BIGINT NOT NULL CHECK (0 <= accepted),
    duplicate    BIGINT NOT NULL CHECK (0 <= duplicate),
    parked       BIGINT NOT NULL CHECK (0 <= parked),
    gap          BIGINT NOT NULL CHECK (0 <= gap),
    PRIMARY KEY (log, `partition`),
    CONSTRAINT every_record_is_accounted_for CHECK (`read` = accepted + duplicate + parked),
    CONSTRAINT every_offset_is_accounted_for CHECK (next_offset - first_offset = `read` + gap)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC;

-- One row a source.
CREATE TABLE IF NOT EXISTS sources (
    source              INT    NOT NULL PRIMARY KEY CHECK (0 < source),
    rev                 BIGINT NOT NULL CHECK (0 < rev),
    watermark_ms        BIGINT NOT NULL,
    last_appended_at_ms BIGINT NOT NULL,
    last_captured_at_ms BIGINT NOT NULL,
    accepted            BIGINT NOT NULL CHECK (0 <= accepted),
    log                 VARCHAR(512) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    `partition`         INT UNSIGNED NOT NULL
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC;

-- Which metrics a source has rows of: what lists need without reading them.
CREATE TABLE IF NOT EXISTS source_metrics (
    source INT            NOT NULL,
    metric VARBINARY(255) NOT NULL,          -- UTF-8
    PRIMARY KEY (source, metric)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC;

-- The sequence numbers that were counted: 65536 numbers of a session a row.
CREATE TABLE IF NOT EXISTS seq_blocks (
    source  INT        NOT NULL,
    session CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,          -- UUID of the producer's run
    block   BIGINT     NOT NULL CHECK (0 <= block),
    counted BIGINT     NOT NULL CHECK (0 < counted),
    seqs    MEDIUMBLOB NOT NULL,             -- intervals: LEB128 gaps and lengths
    PRIMARY KEY (source, session, block)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC;

-- Records put aside with a reason, in the order in which that happened.
CREATE TABLE IF NOT EXISTS parked (
    id             BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    log            VARCHAR(512) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    `partition`    INT UNSIGNED NOT NULL,
    `offset`       BIGINT NOT NULL CHECK (0 <= `offset`),
    appended_at_ms BIGINT NOT NULL,
    reason         VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    detail         MEDIUMTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    bytes          MEDIUMBLOB NOT NULL,      -- the record as it was read, its first MiB
    UNIQUE KEY place (log, `partition`, `offset`)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC;

-- The rest of parked records longer than a MiB: no statement and no answer may be
-- longer than the server's max_allowed_packet.
CREATE TABLE IF NOT EXISTS parked_rest (
    log         VARCHAR(512) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    `partition` INT UNSIGNED NOT NULL,
    `offset`    BIGINT NOT NULL,
    part        INT UNSIGNED NOT NULL CHECK (0 < part),
    bytes       MEDIUMBLOB NOT NULL,
    PRIMARY KEY (log, `partition`, `offset`, part)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC;

-- One row a process that commits: the number of its newest commit. A commit whose
-- answer was lost is there if its number is.
CREATE TABLE IF NOT EXISTS writers (
    writer       CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY, -- UUID of the process's run
    last_commit  BIGINT NOT NULL CHECK (0 < last_commit),
    committed_at BIGINT NOT NULL             -- seconds since 1970, by the server's clock
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC;
