-- Which logs are counted, and where one was seen to have lost its end.
-- Meanings, units and invariants of every column: sql/README.md.

-- One row a name. Another log that is found under it waits for a decision.
CREATE TABLE IF NOT EXISTS logs (
    name VARCHAR(512) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL PRIMARY KEY,
    log  VARCHAR(512) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL      -- the identity of the log that is counted
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC;

-- One row a partition whose log was seen to end before what was counted of it. It
-- stands until somebody decides: the log may have grown past that since, and nobody
-- knows which of its records are new.
CREATE TABLE IF NOT EXISTS lost_ends (
    log         VARCHAR(512) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    `partition` INT UNSIGNED NOT NULL,
    end_offset  BIGINT NOT NULL CHECK (0 <= end_offset),
    PRIMARY KEY (log, `partition`)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC;
