-- The statistics: one row a window, one row a metric of a window.
-- Meanings, units and invariants of every column: sql/README.md.

CREATE TABLE IF NOT EXISTS windows (
    source          INT    NOT NULL,
    size            VARCHAR(3) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    start_ms        BIGINT NOT NULL,
    end_ms          BIGINT NOT NULL,
    frames          BIGINT NOT NULL CHECK (0 < frames),
    frames_expected BIGINT NOT NULL CHECK (0 <= frames_expected),
    status          VARCHAR(9) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    rev             BIGINT NOT NULL CHECK (0 < rev),
    PRIMARY KEY (source, size, start_ms),
    CHECK (size = '1m' OR size = '5m' OR size = '15m' OR size = '1h' OR size = '1d'),
    CHECK (status = 'open' OR status = 'final' OR status = 'corrected'),
    CHECK (start_ms < end_ms),
    -- What a restart loads, however many windows there are.
    KEY open_windows (status, source, size, start_ms)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC;

CREATE TABLE IF NOT EXISTS window_metrics (
    source      INT            NOT NULL,
    size        VARCHAR(3) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    start_ms    BIGINT         NOT NULL,
    metric      VARBINARY(255) NOT NULL,     -- UTF-8
    sum         BIGINT         NOT NULL,
    sum_squares BIGINT         NOT NULL,
    min         INT UNSIGNED   NOT NULL,
    max         INT UNSIGNED   NOT NULL,
    q1_x4       BIGINT         NOT NULL,     -- quartiles times four: exact
    median_x4   BIGINT         NOT NULL,
    q3_x4       BIGINT         NOT NULL,
    modes       MEDIUMTEXT CHARACTER SET ascii COLLATE ascii_bin NOT NULL,    -- '3', or '3,5' for a tie
    histogram   MEDIUMTEXT CHARACTER SET ascii COLLATE ascii_bin NOT NULL,    -- JSON: animals -> frames
    PRIMARY KEY (source, size, start_ms, metric),
    CHECK (min <= max)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC;

-- For people: everything in one place, with the quotients taken.
-- The sample deviation is that of the exact integers; one frame has none. The
-- moments are counted up from 1970, because the server may know no zones.
CREATE OR REPLACE SQL SECURITY INVOKER VIEW window_statistics AS
SELECT
    w.source,
    w.size,
    w.start_ms,
    w.end_ms,
    DATE_FORMAT(TIMESTAMP('1970-01-01') + INTERVAL (w.start_ms DIV 1000) SECOND, '%Y-%m-%dT%H:%i:%sZ')
        AS start_utc,
    w.status,
    w.rev,
    w.frames,
    w.frames_expected,
    CONVERT(m.metric USING utf8mb4) COLLATE utf8mb4_bin AS metric,
    m.sum,
    m.sum / 1e0 / w.frames AS mean,
    CASE WHEN 1 < w.frames THEN
        SQRT((CAST(w.frames AS DECIMAL(30)) * m.sum_squares - CAST(m.sum AS DECIMAL(30)) * m.sum)
             / 1e0 / w.frames / (w.frames - 1))
    END AS std,
    m.min,
    m.q1_x4 / 4e0 AS q1,
    m.median_x4 / 4e0 AS median,
    m.q3_x4 / 4e0 AS q3,
    m.max,
    m.modes
FROM windows AS w
JOIN window_metrics AS m ON m.source = w.source AND m.size = w.size AND m.start_ms = w.start_ms;
