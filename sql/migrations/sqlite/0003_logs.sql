-- Which logs are counted, and where one was seen to have lost its end.
-- Meanings, units and invariants of every column: sql/README.md.

-- One row a name. Another log that is found under it waits for a decision.
CREATE TABLE logs (
    name TEXT NOT NULL PRIMARY KEY,
    log  TEXT NOT NULL                       -- the identity of the log that is counted
) STRICT, WITHOUT ROWID;

-- One row a partition whose log was seen to end before what was counted of it. It
-- stands until somebody decides: the log may have grown past that since, and nobody
-- knows which of its records are new.
CREATE TABLE lost_ends (
    log        TEXT    NOT NULL,
    partition  INTEGER NOT NULL CHECK (0 <= partition),
    end_offset INTEGER NOT NULL CHECK (0 <= end_offset),
    PRIMARY KEY (log, partition)
) STRICT, WITHOUT ROWID;
