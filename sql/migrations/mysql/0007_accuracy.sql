-- How right detections were when they were compared with labels. Meanings, units and
-- invariants of every column: sql/README.md.

CREATE TABLE IF NOT EXISTS accuracy (
    id                   CHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY,
    source               INT    NOT NULL,
    measured_at_ms       BIGINT NOT NULL,
    model_name           TEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    model_hash           TEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    confidence           FLOAT  NOT NULL,
    from_ms              BIGINT NOT NULL,
    to_ms                BIGINT NOT NULL,
    frames               BIGINT NOT NULL CHECK (0 <= frames),
    lying_as_lying       BIGINT NOT NULL CHECK (0 <= lying_as_lying),
    lying_as_standing    BIGINT NOT NULL CHECK (0 <= lying_as_standing),
    standing_as_lying    BIGINT NOT NULL CHECK (0 <= standing_as_lying),
    standing_as_standing BIGINT NOT NULL CHECK (0 <= standing_as_standing),
    report               LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,    -- JSON
    -- The newest of a source.
    KEY by_source (source, measured_at_ms, id)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC;
