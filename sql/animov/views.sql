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
-- minutes.
CREATE OR REPLACE SQL SECURITY DEFINER VIEW vue_chevres_serier_jour AS
SELECT
    DATE_FORMAT(c.local, '%Y-%m-%d %H:%i') AS timestamp,
    five.source AS source,
    five.total, five.couche, five.debout,
    five.max_total, five.max_couche, five.max_debout,
    five.min_total, five.min_couche, five.min_debout,
    five.nb_frames
FROM (
    SELECT
        m.timestamp DIV 300 * 300 AS start_s,
        m.source,
        AVG(m.total) AS total, AVG(m.couche) AS couche, AVG(m.debout) AS debout,
        MAX(m.max_total) AS max_total, MAX(m.max_couche) AS max_couche, MAX(m.max_debout) AS max_debout,
        MIN(m.min_total) AS min_total, MIN(m.min_couche) AS min_couche, MIN(m.min_debout) AS min_debout,
        AVG(m.nb_frames) AS nb_frames
    FROM table_chevres_minute_serveur_v2 AS m
    WHERE UNIX_TIMESTAMP() - 86400 < m.timestamp
    GROUP BY m.source, m.timestamp DIV 300 * 300
) AS five
LEFT JOIN clock AS c ON c.site = 1 AND c.start_s = five.start_s
ORDER BY five.start_s, five.source;

-- The same of each source's last recorded day; sums of the minutes.
CREATE OR REPLACE SQL SECURITY DEFINER VIEW vue_chevre_derniere_jour_last AS
SELECT
    DATE_FORMAT(c.local, '%Y-%m-%d %H:%i') AS timestamp,
    five.source AS source,
    five.total, five.couche, five.debout,
    five.max_total, five.max_couche, five.max_debout,
    five.min_total, five.min_couche, five.min_debout,
    five.nb_frames
FROM (
    SELECT
        m.timestamp DIV 300 * 300 AS start_s,
        m.source,
        ROUND(SUM(m.total), 3) AS total, ROUND(SUM(m.couche), 3) AS couche, ROUND(SUM(m.debout), 3) AS debout,
        MAX(m.max_total) AS max_total, MAX(m.max_couche) AS max_couche, MAX(m.max_debout) AS max_debout,
        MIN(m.min_total) AS min_total, MIN(m.min_couche) AS min_couche, MIN(m.min_debout) AS min_debout,
        SUM(m.nb_frames) AS nb_frames
    FROM newest_minutes AS newest
    JOIN counted_minutes AS back
    STRAIGHT_JOIN table_chevres_minute_serveur_v2 AS m
        ON m.source = newest.source AND m.timestamp = newest.start_s - 60 * back.n
    GROUP BY m.source, m.timestamp DIV 300 * 300
) AS five
LEFT JOIN clock AS c ON c.site = 1 AND c.start_s = five.start_s
ORDER BY five.start_s, five.source;
