-- What was read, what was counted already, and what was put aside.
-- Meanings, units and invariants of every column: sql/README.md.

-- One row: what shapes the windows and must never change under them.
CREATE TABLE shape (
    id      INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    zone    TEXT    NOT NULL,                -- IANA zone of the civil days
    metrics TEXT    NOT NULL                 -- JSON: metric name -> class names
) STRICT;

-- One row a partition of a log: the ledger.
CREATE TABLE partitions (
    log          TEXT    NOT NULL,
    partition    INTEGER NOT NULL CHECK (0 <= partition),
    owner_epoch  INTEGER NOT NULL CHECK (0 < owner_epoch),
    first_offset INTEGER NOT NULL CHECK (0 <= first_offset),
    next_offset  INTEGER NOT NULL,
    read         INTEGER NOT NULL CHECK (0 <= read),
    accepted     INTEGER NOT NULL CHECK (0 <= accepted),
    duplicate    INTEGER NOT NULL CHECK (0 <= duplicate),
    parked       INTEGER NOT NULL CHECK (0 <= parked),
    gap          INTEGER NOT NULL CHECK (0 <= gap),
    PRIMARY KEY (log, partition),
    CONSTRAINT every_record_is_accounted_for CHECK (read = accepted + duplicate + parked),
    CONSTRAINT every_offset_is_accounted_for CHECK (next_offset - first_offset = read + gap)
) STRICT, WITHOUT ROWID;

-- One row a source.
CREATE TABLE sources (
    source              INTEGER NOT NULL PRIMARY KEY CHECK (source BETWEEN 1 AND 2147483647),
    rev                 INTEGER NOT NULL CHECK (0 < rev),
    watermark_ms        INTEGER NOT NULL,
    last_appended_at_ms INTEGER NOT NULL,
    last_captured_at_ms INTEGER NOT NULL,
    accepted            INTEGER NOT NULL CHECK (0 <= accepted),
    log                 TEXT    NOT NULL,
    partition           INTEGER NOT NULL CHECK (0 <= partition)
) STRICT;

-- Which metrics a source has rows of: what lists need without reading them.
CREATE TABLE source_metrics (
    source INTEGER NOT NULL,
    metric TEXT    NOT NULL,
    PRIMARY KEY (source, metric)
) STRICT, WITHOUT ROWID;

-- The sequence numbers that were counted: 65536 numbers of a session a row.
CREATE TABLE seq_blocks (
    source  INTEGER NOT NULL,
    session TEXT    NOT NULL,                -- UUID of the producer's run
    block   INTEGER NOT NULL CHECK (0 <= block),
    counted INTEGER NOT NULL CHECK (0 < counted),
    seqs    BLOB    NOT NULL,                -- intervals: LEB128 gaps and lengths
    PRIMARY KEY (source, session, block)
) STRICT, WITHOUT ROWID;

-- Records put aside with a reason, in the order in which that happened.
CREATE TABLE parked (
    id             INTEGER NOT NULL PRIMARY KEY,
    log            TEXT    NOT NULL,
    partition      INTEGER NOT NULL,
    offset         INTEGER NOT NULL CHECK (0 <= offset),
    appended_at_ms INTEGER NOT NULL,
    reason         TEXT    NOT NULL,
    detail         TEXT    NOT NULL,
    bytes          BLOB    NOT NULL,         -- the record as it was read
    UNIQUE (log, partition, offset)
) STRICT;
