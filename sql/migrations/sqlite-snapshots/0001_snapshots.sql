-- Pictures, each with what was found in it.
-- Meanings, units and invariants of every column: sql/README.md.

CREATE TABLE snapshots (
    place          INTEGER NOT NULL PRIMARY KEY,
    id             TEXT    NOT NULL UNIQUE,
    source         INTEGER NOT NULL CHECK (source BETWEEN 1 AND 2147483647),
    captured_at_ms INTEGER NOT NULL,
    width          INTEGER NOT NULL CHECK (0 <= width),
    height         INTEGER NOT NULL CHECK (0 <= height),
    model_name     TEXT    NOT NULL,
    model_hash     TEXT    NOT NULL,
    detections     TEXT    NOT NULL CHECK (json_valid(detections)),
    bytes          INTEGER NOT NULL,
    -- Last, so that the columns before it are read without it.
    image          BLOB    NOT NULL,
    CONSTRAINT the_bytes_are_counted CHECK (bytes = length(image))
) STRICT;

-- The order of all snapshots. With their bytes, so that retention adds them up
-- without reading a single picture.
CREATE INDEX snapshots_by_time ON snapshots (captured_at_ms, id, bytes);

CREATE INDEX snapshots_by_source ON snapshots (source, captured_at_ms, id);
