-- The statistics: one row a window, one row a metric of a window.
-- Meanings, units and invariants of every column: sql/README.md.

CREATE TABLE windows (
    source          INTEGER NOT NULL,
    size            TEXT    NOT NULL,
    start_ms        INTEGER NOT NULL,
    end_ms          INTEGER NOT NULL,
    frames          INTEGER NOT NULL CHECK (0 < frames),
    frames_expected INTEGER NOT NULL CHECK (0 <= frames_expected),
    status          TEXT    NOT NULL,
    rev             INTEGER NOT NULL CHECK (0 < rev),
    PRIMARY KEY (source, size, start_ms),
    -- Comparisons, because `IN` builds a table for each row: a quarter of a commit.
    CHECK (size = '1m' OR size = '5m' OR size = '15m' OR size = '1h' OR size = '1d'),
    CHECK (status = 'open' OR status = 'final' OR status = 'corrected'),
    CHECK (start_ms < end_ms)
) STRICT, WITHOUT ROWID;

-- What a restart loads, however many windows there are.
CREATE INDEX open_windows ON windows (source, size, start_ms) WHERE status = 'open';

CREATE TABLE window_metrics (
    source      INTEGER NOT NULL,
    size        TEXT    NOT NULL,
    start_ms    INTEGER NOT NULL,
    metric      TEXT    NOT NULL,
    sum         INTEGER NOT NULL,
    sum_squares INTEGER NOT NULL,
    min         INTEGER NOT NULL,
    max         INTEGER NOT NULL,
    q1_x4       INTEGER NOT NULL,            -- quartiles times four: exact
    median_x4   INTEGER NOT NULL,
    q3_x4       INTEGER NOT NULL,
    modes       TEXT    NOT NULL,            -- '3', or '3,5' for a tie
    histogram   BLOB    NOT NULL,            -- frames with 0, 1, 2 ... animals, LEB128
    PRIMARY KEY (source, size, start_ms, metric),
    CHECK (0 <= min AND min <= max)
) STRICT, WITHOUT ROWID;

-- For people: everything in one place, with the quotients taken.
-- The sample deviation is that of the exact integers; one frame has none.
CREATE VIEW window_statistics AS
SELECT
    w.source,
    w.size,
    w.start_ms,
    w.end_ms,
    strftime('%Y-%m-%dT%H:%M:%SZ', w.start_ms / 1000, 'unixepoch') AS start_utc,
    w.status,
    w.rev,
    w.frames,
    w.frames_expected,
    m.metric,
    m.sum,
    CAST(m.sum AS REAL) / w.frames AS mean,
    CASE WHEN 1 < w.frames THEN
        sqrt(CAST(w.frames * m.sum_squares - m.sum * m.sum AS REAL) / w.frames / (w.frames - 1))
    END AS std,
    m.min,
    m.q1_x4 / 4.0 AS q1,
    m.median_x4 / 4.0 AS median,
    m.q3_x4 / 4.0 AS q3,
    m.max,
    m.modes
FROM windows AS w
JOIN window_metrics AS m USING (source, size, start_ms);
