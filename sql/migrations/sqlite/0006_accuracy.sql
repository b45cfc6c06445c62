-- How right detections were when they were compared with labels. Meanings, units and
-- invariants of every column: sql/README.md.

CREATE TABLE accuracy (
    id                   TEXT    NOT NULL PRIMARY KEY,
    source               INTEGER NOT NULL CHECK (0 < source),
    measured_at_ms       INTEGER NOT NULL,
    model_name           TEXT    NOT NULL,
    model_hash           TEXT    NOT NULL,
    confidence           REAL    NOT NULL,
    from_ms              INTEGER NOT NULL,
    to_ms                INTEGER NOT NULL,
    frames               INTEGER NOT NULL CHECK (0 <= frames),
    lying_as_lying       INTEGER NOT NULL CHECK (0 <= lying_as_lying),
    lying_as_standing    INTEGER NOT NULL CHECK (0 <= lying_as_standing),
    standing_as_lying    INTEGER NOT NULL CHECK (0 <= standing_as_lying),
    standing_as_standing INTEGER NOT NULL CHECK (0 <= standing_as_standing),
    report               TEXT    NOT NULL                -- JSON
) STRICT;

-- The newest of a source.
CREATE INDEX accuracy_by_source ON accuracy (source, measured_at_ms, id);
