-- The original system's six views. "Now" is the server's clock; it counts seconds
-- since 1970, so the session's time zone does not matter.

-- Each source's newest minute.
CREATE OR REPLACE ALGORITHM = TEMPTABLE SQL SECURITY DEFINER VIEW newest_minutes AS
SELECT
    o.source,
    (SELECT w.start_ms DIV 1000 FROM windows AS w
     WHERE w.source = o.source AND w.size = '1m' ORDER BY w.start_ms DESC LIMIT 1)
        AS start_s
FROM sources AS o;

-- The minutes that began in the last two minutes. The original showed four rows,
-- for its four cameras; here every source has its own.
CREATE OR REPLACE ALGORITHM = MERGE SQL SECURITY DEFINER VIEW vue_chevres_derniere_minute_v2 AS
SELECT *
FROM table_chevres_minute_serveur_v2 AS m
WHERE UNIX_TIMESTAMP() - 120 < m.timestamp
ORDER BY m.timestamp, m.source DESC;

-- Each source's newest minute: animals per frame, their deviation, most and fewest.
CREATE OR REPLACE ALGORITHM = MERGE SQL SECURITY DEFINER VIEW vue_chevres_derniere_minute AS
SELECT
    m.timestamp,
    m.source,
    CAST(m.total / m.nb_frames AS DECIMAL(36, 4)) AS total,
    CAST(m.couche / m.nb_frames AS DECIMAL(36, 4)) AS couche,
    CAST(m.debout / m.nb_frames AS DECIMAL(36, 4)) AS debout,
    m.std_total + 0e0 AS std_total,
    m.std_couche + 0e0 AS std_couche,
    m.std_debout + 0e0 AS std_debout,
    CAST(m.max_total AS DECIMAL(11, 0)) AS max_total,
    CAST(m.max_couche AS DECIMAL(11, 0)) AS max_couche,
    CAST(m.max_debout AS DECIMAL(11, 0)) AS max_debout,
    CAST(m.min_total AS DECIMAL(11, 0)) AS min_total,
    CAST(m.min_couche AS DECIMAL(11, 0)) AS min_couche,
    CAST(m.min_debout AS DECIMAL(11, 0)) AS min_debout
FROM newest_minutes AS newest
STRAIGHT_JOIN table_chevres_minute_serveur_v2 AS m ON m.source = newest.source AND m.timestamp = newest.start_s
ORDER BY m.source;

-- Minute by minute of the last hour, which ends now.
CREATE OR REPLACE ALGORITHM = MERGE SQL SECURITY DEFINER VIEW vue_chevres_serier_heure AS
SELECT *
FROM table_chevres_minute_serveur_v2 AS m
WHERE UNIX_TIMESTAMP() - 3600 < m.timestamp
ORDER BY m.timestamp, m.source;

-- Minute by minute of each source's last recorded hour. Counting back from the
-- newest minute names each row by its whole key; a bound that differs from source to
-- source would have the server read a source's whole history.
CREATE OR REPLACE ALGORITHM = MERGE SQL SECURITY DEFINER VIEW vue_chevre_derniere_heure_last AS
SELECT m.*
FROM newest_minutes AS newest
JOIN counted_minutes AS back ON back.n < 60
STRAIGHT_JOIN table_chevres_minute_serveur_v2 AS m
    ON m.source = newest.source AND m.timestamp = newest.start_s - 60 * back.n
ORDER BY m.timestamp, m.source;

-- Five minutes by five minutes of the last day, which ends now; averages of the
-- minutes. Five whole minutes are a window that is there, so only their number is
-- counted; the day may begin within five, of which the minutes are taken.
CREATE OR REPLACE SQL SECURITY DEFINER VIEW vue_chevres_serier_jour AS
SELECT
    DATE_FORMAT(c.local, '%Y-%m-%d %H:%i') AS timestamp,
    five.source AS source,
    five.total,
    five.couche,
    five.debout,
    five.max_total,
    five.max_couche,
    five.max_debout,
    five.min_total,
    five.min_couche,
    five.min_debout,
    five.nb_frames
FROM (
    SELECT
        counted.start_s,
        counted.source,
        CAST(IFNULL(t.sum, 0) / counted.minutes AS DECIMAL(14, 4)) AS total,
        CAST(IFNULL(l.sum, 0) / counted.minutes AS DECIMAL(14, 4)) AS couche,
        CAST(IFNULL(s.sum, 0) / counted.minutes AS DECIMAL(14, 4)) AS debout,
        CASE WHEN t.source IS NULL THEN tc.zero ELSE t.max_int END AS max_total,
        CASE WHEN l.source IS NULL THEN lc.zero ELSE l.max_int END AS max_couche,
        CASE WHEN s.source IS NULL THEN sc.zero ELSE s.max_int END AS max_debout,
        CASE WHEN t.source IS NULL THEN tc.zero ELSE t.min_int END AS min_total,
        CASE WHEN l.source IS NULL THEN lc.zero ELSE l.min_int END AS min_couche,
        CASE WHEN s.source IS NULL THEN sc.zero ELSE s.min_int END AS min_debout,
        CAST(counted.frames / counted.minutes AS DECIMAL(14, 4)) AS nb_frames
    FROM (
        SELECT
            c.start_s DIV 300 * 300 AS start_s,
            o.source,
            COUNT(*) AS minutes,
            SUM(w.frames) AS frames
        FROM clock AS c
        JOIN sources AS o ON c.site = 1 AND o.site = 1
        STRAIGHT_JOIN windows AS w
            ON w.source = o.source AND w.size = '1m' AND w.start_ms = c.start_s * 1000
        WHERE (UNIX_TIMESTAMP() - 86400) DIV 300 * 300 + 300 <= c.start_s
        GROUP BY o.source, c.start_s DIV 300 * 300
    ) AS counted
    JOIN column_metrics AS tc ON tc.name = 'total'
    JOIN column_metrics AS lc ON lc.name = 'couche'
    JOIN column_metrics AS sc ON sc.name = 'debout'
    LEFT JOIN window_metrics AS t
        ON t.source = counted.source AND t.size = '5m' AND t.start_ms = counted.start_s * 1000
           AND t.metric = tc.metric
    LEFT JOIN window_metrics AS l
        ON l.source = counted.source AND l.size = '5m' AND l.start_ms = counted.start_s * 1000
           AND l.metric = lc.metric
    LEFT JOIN window_metrics AS s
        ON s.source = counted.source AND s.size = '5m' AND s.start_ms = counted.start_s * 1000
           AND s.metric = sc.metric
    UNION ALL
    SELECT
        m.timestamp DIV 300 * 300 AS start_s,
        m.source,
        CAST(AVG(m.total) AS DECIMAL(14, 4)) AS total,
        CAST(AVG(m.couche) AS DECIMAL(14, 4)) AS couche,
        CAST(AVG(m.debout) AS DECIMAL(14, 4)) AS debout,
        MAX(m.max_total) AS max_total,
        MAX(m.max_couche) AS max_couche,
        MAX(m.max_debout) AS max_debout,
        MIN(m.min_total) AS min_total,
        MIN(m.min_couche) AS min_couche,
        MIN(m.min_debout) AS min_debout,
        CAST(AVG(m.nb_frames) AS DECIMAL(14, 4)) AS nb_frames
    FROM table_chevres_minute_serveur_v2 AS m
    WHERE UNIX_TIMESTAMP() - 86400 < m.timestamp
          AND m.timestamp < (UNIX_TIMESTAMP() - 86400) DIV 300 * 300 + 300
    GROUP BY m.source, m.timestamp DIV 300 * 300
) AS five
LEFT JOIN clock AS c ON c.site = 1 AND c.start_s = five.start_s
ORDER BY five.start_s, five.source;

-- The same of each source's last recorded day; sums of the minutes.
CREATE OR REPLACE SQL SECURITY DEFINER VIEW vue_chevre_derniere_jour_last AS
SELECT
    DATE_FORMAT(c.local, '%Y-%m-%d %H:%i') AS timestamp,
    five.source AS source,
    five.total,
    five.couche,
    five.debout,
    five.max_total,
    five.max_couche,
    five.max_debout,
    five.min_total,
    five.min_couche,
    five.min_debout,
    five.nb_frames
FROM (
    SELECT
        w.start_ms DIV 1000 AS start_s,
        w.source,
        CAST(IFNULL(t.sum, 0) AS DECIMAL(35, 3)) AS total,
        CAST(IFNULL(l.sum, 0) AS DECIMAL(35, 3)) AS couche,
        CAST(IFNULL(s.sum, 0) AS DECIMAL(35, 3)) AS debout,
        CASE WHEN t.source IS NULL THEN tc.zero ELSE t.max_int END AS max_total,
        CASE WHEN l.source IS NULL THEN lc.zero ELSE l.max_int END AS max_couche,
        CASE WHEN s.source IS NULL THEN sc.zero ELSE s.max_int END AS max_debout,
        CASE WHEN t.source IS NULL THEN tc.zero ELSE t.min_int END AS min_total,
        CASE WHEN l.source IS NULL THEN lc.zero ELSE l.min_int END AS min_couche,
        CASE WHEN s.source IS NULL THEN sc.zero ELSE s.min_int END AS min_debout,
        CAST(w.frames AS DECIMAL(32, 0)) AS nb_frames
    FROM newest_minutes AS newest
    JOIN counted_minutes AS back ON back.n <= 288
    STRAIGHT_JOIN windows AS w
        ON w.source = newest.source AND w.size = '5m'
           AND w.start_ms = (newest.start_s DIV 300 * 300 - 300 * back.n) * 1000
           AND newest.start_s - 86400 < newest.start_s DIV 300 * 300 - 300 * back.n
    JOIN column_metrics AS tc ON tc.name = 'total'
    JOIN column_metrics AS lc ON lc.name = 'couche'
    JOIN column_metrics AS sc ON sc.name = 'debout'
    LEFT JOIN window_metrics AS t
        ON t.source = w.source AND t.size = '5m' AND t.start_ms = w.start_ms
           AND t.metric = tc.metric
    LEFT JOIN window_metrics AS l
        ON l.source = w.source AND l.size = '5m' AND l.start_ms = w.start_ms
           AND l.metric = lc.metric
    LEFT JOIN window_metrics AS s
        ON s.source = w.source AND s.size = '5m' AND s.start_ms = w.start_ms
           AND s.metric = sc.metric
    UNION ALL
    SELECT
        m.timestamp DIV 300 * 300 AS start_s,
        m.source,
        CAST(SUM(m.total) AS DECIMAL(35, 3)) AS total,
        CAST(SUM(m.couche) AS DECIMAL(35, 3)) AS couche,
        CAST(SUM(m.debout) AS DECIMAL(35, 3)) AS debout,
        MAX(m.max_total) AS max_total,
        MAX(m.max_couche) AS max_couche,
        MAX(m.max_debout) AS max_debout,
        MIN(m.min_total) AS min_total,
        MIN(m.min_couche) AS min_couche,
        MIN(m.min_debout) AS min_debout,
        CAST(SUM(m.nb_frames) AS DECIMAL(32, 0)) AS nb_frames
    FROM newest_minutes AS newest
    JOIN counted_minutes AS back ON back.n BETWEEN 1436 AND 1439
    STRAIGHT_JOIN table_chevres_minute_serveur_v2 AS m
        ON m.source = newest.source AND m.timestamp = newest.start_s - 60 * back.n
           AND m.timestamp < (newest.start_s - 86400) DIV 300 * 300 + 300
    GROUP BY m.source, m.timestamp DIV 300 * 300
) AS five
LEFT JOIN clock AS c ON c.site = 1 AND c.start_s = five.start_s
ORDER BY five.start_s, five.source;
