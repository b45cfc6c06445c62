-- The original system's tables, as views of our own: the same rows cannot be there
-- twice and differ. Names, columns, their order and types are the original's.
-- What is rounded, and where the original was wrong: sql/README.md.
--
-- A metric that has no row in a window was seen in none of its frames: its counts
-- are zero.
--
-- Each begins with `clock` and `sources` and looks each window up by its whole key,
-- so a bound on the time or the source is a bound on keys, whatever the server's
-- statistics say of the windows: hence STRAIGHT_JOIN. Which of the two comes first is
-- the server's choice: by time for ORDER BY timestamp, by source for DISTINCT source.
-- `site` is 1 everywhere; a join with all rows by a key of theirs keeps that order,
-- where one without would go through a buffer.

CREATE OR REPLACE ALGORITHM = MERGE SQL SECURITY DEFINER VIEW table_chevres_minute_serveur_v2 AS
SELECT
    w.minute_id AS id,
    c.start_s AS timestamp,
    o.source AS source,
    CASE WHEN t.source IS NULL THEN tc.zero ELSE t.sum_int END AS total,
    CASE WHEN l.source IS NULL THEN lc.zero ELSE l.sum_int END AS couche,
    CASE WHEN s.source IS NULL THEN sc.zero ELSE s.sum_int END AS debout,
    CASE WHEN t.source IS NULL THEN tc.zero ELSE t.max_int END AS max_total,
    CASE WHEN l.source IS NULL THEN lc.zero ELSE l.max_int END AS max_couche,
    CASE WHEN s.source IS NULL THEN sc.zero ELSE s.max_int END AS max_debout,
    CASE WHEN t.source IS NULL THEN tc.zero ELSE t.min_int END AS min_total,
    CASE WHEN l.source IS NULL THEN lc.zero ELSE l.min_int END AS min_couche,
    CASE WHEN s.source IS NULL THEN sc.zero ELSE s.min_int END AS min_debout,
    CAST(CASE
        WHEN w.frames < 2 THEN NULL
        WHEN t.source IS NULL THEN 0e0
        ELSE SQRT((CAST(w.frames AS DECIMAL(30)) * t.sum_squares - CAST(t.sum AS DECIMAL(30)) * t.sum)
                  / 1e0 / w.frames / (w.frames - 1))
    END AS DECIMAL(6, 3)) AS std_total,
    CAST(CASE
        WHEN w.frames < 2 THEN NULL
        WHEN l.source IS NULL THEN 0e0
        ELSE SQRT((CAST(w.frames AS DECIMAL(30)) * l.sum_squares - CAST(l.sum AS DECIMAL(30)) * l.sum)
                  / 1e0 / w.frames / (w.frames - 1))
    END AS DECIMAL(6, 3)) AS std_couche,
    CAST(CASE
        WHEN w.frames < 2 THEN NULL
        WHEN s.source IS NULL THEN 0e0
        ELSE SQRT((CAST(w.frames AS DECIMAL(30)) * s.sum_squares - CAST(s.sum AS DECIMAL(30)) * s.sum)
                  / 1e0 / w.frames / (w.frames - 1))
    END AS DECIMAL(6, 3)) AS std_debout,
    CAST(CASE WHEN t.source IS NULL THEN 0 ELSE t.q1_x4 / 4 END AS DECIMAL(6, 3)) AS Q1_total,
    CAST(CASE WHEN l.source IS NULL THEN 0 ELSE l.q1_x4 / 4 END AS DECIMAL(6, 3)) AS Q1_couche,
    CAST(CASE WHEN s.source IS NULL THEN 0 ELSE s.q1_x4 / 4 END AS DECIMAL(6, 3)) AS Q1_debout,
    CAST(CASE WHEN t.source IS NULL THEN 0 ELSE t.median_x4 / 4 END AS DECIMAL(6, 3)) AS Q2_total,
    CAST(CASE WHEN l.source IS NULL THEN 0 ELSE l.median_x4 / 4 END AS DECIMAL(6, 3)) AS Q2_couche,
    CAST(CASE WHEN s.source IS NULL THEN 0 ELSE s.median_x4 / 4 END AS DECIMAL(6, 3)) AS Q2_debout,
    CAST(CASE WHEN t.source IS NULL THEN 0 ELSE t.q3_x4 / 4 END AS DECIMAL(6, 3)) AS Q3_total,
    CAST(CASE WHEN l.source IS NULL THEN 0 ELSE l.q3_x4 / 4 END AS DECIMAL(6, 3)) AS Q3_couche,
    CAST(CASE WHEN s.source IS NULL THEN 0 ELSE s.q3_x4 / 4 END AS DECIMAL(6, 3)) AS Q3_debout,
    CASE WHEN t.source IS NULL THEN '0' ELSE t.modes_text END AS mode_total,
    CASE WHEN l.source IS NULL THEN '0' ELSE l.modes_text END AS mode_couche,
    CASE WHEN s.source IS NULL THEN '0' ELSE s.modes_text END AS mode_debout,
    w.frames_int AS nb_frames
FROM clock AS c
JOIN sources AS o ON c.site = 1 AND o.site = 1
STRAIGHT_JOIN windows AS w
    ON w.source = o.source AND w.size = '1m' AND w.start_ms = c.start_s * 1000
JOIN column_metrics AS tc ON tc.name = 'total'
JOIN column_metrics AS lc ON lc.name = 'couche'
JOIN column_metrics AS sc ON sc.name = 'debout'
LEFT JOIN window_metrics AS t
    ON t.source = w.source AND t.size = '1m' AND t.start_ms = w.start_ms AND t.metric = tc.metric
LEFT JOIN window_metrics AS l
    ON l.source = w.source AND l.size = '1m' AND l.start_ms = w.start_ms AND l.metric = lc.metric
LEFT JOIN window_metrics AS s
    ON s.source = w.source AND s.size = '1m' AND s.start_ms = w.start_ms AND s.metric = sc.metric;

-- Mean headcounts of the behaviours, minute by minute, on the site's clocks.
CREATE OR REPLACE ALGORITHM = MERGE SQL SECURITY DEFINER VIEW table_chevres_minute AS
SELECT
    (c.start_s DIV 60) * 2147483648 + w.source AS id,
    c.day AS jour,
    o.source_big AS source,
    c.minute AS minutes,
    c.hour AS heure,
    IFNULL(brush.sum, 0) / 1e0 / w.frames AS brush,
    IFNULL(drink.sum, 0) / 1e0 / w.frames AS drink,
    IFNULL(eat.sum, 0) / 1e0 / w.frames AS eat,
    IFNULL(class_0.sum, 0) / 1e0 / w.frames AS class_0,
    IFNULL(class_1.sum, 0) / 1e0 / w.frames AS class_1
FROM clock AS c
JOIN sources AS o ON c.site = 1 AND o.site = 1
STRAIGHT_JOIN windows AS w
    ON w.source = o.source AND w.size = '1m' AND w.start_ms = c.start_s * 1000
LEFT JOIN window_metrics AS brush
    ON brush.source = w.source AND brush.size = '1m' AND brush.start_ms = w.start_ms AND brush.metric = 'brush'
LEFT JOIN window_metrics AS drink
    ON drink.source = w.source AND drink.size = '1m' AND drink.start_ms = w.start_ms AND drink.metric = 'drink'
LEFT JOIN window_metrics AS eat
    ON eat.source = w.source AND eat.size = '1m' AND eat.start_ms = w.start_ms AND eat.metric = 'eat'
LEFT JOIN window_metrics AS class_0
    ON class_0.source = w.source AND class_0.size = '1m' AND class_0.start_ms = w.start_ms
       AND class_0.metric = 'class_0'
LEFT JOIN window_metrics AS class_1
    ON class_1.source = w.source AND class_1.size = '1m' AND class_1.start_ms = w.start_ms
       AND class_1.metric = 'class_1';

-- The same, hour by hour. Where the site's clocks are not whole hours from UTC, an
-- hour begins at a quarter or at half past, and `heure` is the one that it begins in.
CREATE OR REPLACE ALGORITHM = MERGE SQL SECURITY DEFINER VIEW table_chevres_heures AS
SELECT
    (c.start_s DIV 60) * 2147483648 + w.source AS id,
    c.day AS jour,
    o.source_big AS source,
    c.hour AS heure,
    IFNULL(brush.sum, 0) / 1e0 / w.frames AS brush,
    IFNULL(drink.sum, 0) / 1e0 / w.frames AS drink,
    IFNULL(eat.sum, 0) / 1e0 / w.frames AS eat,
    IFNULL(class_0.sum, 0) / 1e0 / w.frames AS class_0,
    IFNULL(class_1.sum, 0) / 1e0 / w.frames AS class_1
FROM clock AS c
JOIN sources AS o ON c.site = 1 AND o.site = 1
STRAIGHT_JOIN windows AS w
    ON w.source = o.source AND w.size = '1h' AND w.start_ms = c.start_s * 1000
       AND c.start_s MOD 3600 = 0
LEFT JOIN window_metrics AS brush
    ON brush.source = w.source AND brush.size = '1h' AND brush.start_ms = w.start_ms AND brush.metric = 'brush'
LEFT JOIN window_metrics AS drink
    ON drink.source = w.source AND drink.size = '1h' AND drink.start_ms = w.start_ms AND drink.metric = 'drink'
LEFT JOIN window_metrics AS eat
    ON eat.source = w.source AND eat.size = '1h' AND eat.start_ms = w.start_ms AND eat.metric = 'eat'
LEFT JOIN window_metrics AS class_0
    ON class_0.source = w.source AND class_0.size = '1h' AND class_0.start_ms = w.start_ms
       AND class_0.metric = 'class_0'
LEFT JOIN window_metrics AS class_1
    ON class_1.source = w.source AND class_1.size = '1h' AND class_1.start_ms = w.start_ms
       AND class_1.metric = 'class_1';

-- What the procedure ConsoliderResultatsEcartType last found: a table, because its
-- callers expect the answer of that call to stay.
CREATE TABLE IF NOT EXISTS ResultatsConsolides (
    source            INT NOT NULL PRIMARY KEY,
    moyenne_total     DECIMAL(10, 6),
    max_total         DECIMAL(10, 0),
    min_total         DECIMAL(10, 0),
    ecart_type_total  DECIMAL(10, 6),
    moyenne_debout    DECIMAL(10, 6),
    max_debout        DECIMAL(10, 0),
    min_debout        DECIMAL(10, 0),
    ecart_type_debout DECIMAL(10, 6),
    moyenne_couche    DECIMAL(10, 6),
    max_couche        DECIMAL(10, 0),
    min_couche        DECIMAL(10, 0),
    ecart_type_couche DECIMAL(10, 6)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC;
