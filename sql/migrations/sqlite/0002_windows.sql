-- The statistics: one row a window, with the histograms of its metrics. All else
-- is a function of these, and a view.
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
    -- JSON: metric -> animals -> frames. In the window's row, because rows are what
    -- a commit costs: with a row a metric it took more than twice as long. A text,
    -- because SQL reads it.
    histograms      TEXT    NOT NULL,
    PRIMARY KEY (source, size, start_ms),
    -- Comparisons, because `IN` builds a table for each row: a quarter of a commit.
    CHECK (size = '1m' OR size = '5m' OR size = '15m' OR size = '1h' OR size = '1d'),
    CHECK (status = 'open' OR status = 'final' OR status = 'corrected'),
    CHECK (start_ms < end_ms)
) STRICT, WITHOUT ROWID;

-- What a restart loads, however many windows there are.
CREATE INDEX open_windows ON windows (source, size, start_ms) WHERE status = 'open';

-- One row a metric of a window. Each column is computed only where it is read.
-- A quartile is the value at rank (frames - 1) * quarter / 4, from 0, interpolated
-- between its neighbours: `upto` frames show so many animals or fewer.
CREATE VIEW window_metrics AS
SELECT
    w.source,
    w.size,
    w.start_ms,
    m.key AS metric,
    (SELECT sum(key * value) FROM json_each(m.value)) AS sum,
    (SELECT sum(key * key * value) FROM json_each(m.value)) AS sum_squares,
    (SELECT min(CAST(key AS INTEGER)) FROM json_each(m.value)) AS min,
    (SELECT max(CAST(key AS INTEGER)) FROM json_each(m.value)) AS max,
    (SELECT (4 - (w.frames - 1) % 4) * min(animals) FILTER (WHERE (w.frames - 1) / 4 < upto)
            + ifnull((w.frames - 1) % 4 * min(animals) FILTER (WHERE (w.frames - 1) / 4 + 1 < upto), 0)
     FROM (SELECT CAST(key AS INTEGER) AS animals, sum(value) OVER (ORDER BY CAST(key AS INTEGER)) AS upto
           FROM json_each(m.value))) AS q1_x4,
    (SELECT (4 - (w.frames - 1) * 2 % 4) * min(animals) FILTER (WHERE (w.frames - 1) * 2 / 4 < upto)
            + ifnull((w.frames - 1) * 2 % 4 * min(animals) FILTER (WHERE (w.frames - 1) * 2 / 4 + 1 < upto), 0)
     FROM (SELECT CAST(key AS INTEGER) AS animals, sum(value) OVER (ORDER BY CAST(key AS INTEGER)) AS upto
           FROM json_each(m.value))) AS median_x4,
    (SELECT (4 - (w.frames - 1) * 3 % 4) * min(animals) FILTER (WHERE (w.frames - 1) * 3 / 4 < upto)
            + ifnull((w.frames - 1) * 3 % 4 * min(animals) FILTER (WHERE (w.frames - 1) * 3 / 4 + 1 < upto), 0)
     FROM (SELECT CAST(key AS INTEGER) AS animals, sum(value) OVER (ORDER BY CAST(key AS INTEGER)) AS upto
           FROM json_each(m.value))) AS q3_x4,
    -- In the order of the text, which is ascending.
    (SELECT group_concat(key) FROM json_each(m.value)
     WHERE value = (SELECT max(value) FROM json_each(m.value))) AS modes,
    m.value AS histogram
FROM windows AS w, json_each(w.histograms) AS m;

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
