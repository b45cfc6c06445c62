-- What the original system's tables and views (sql/animov/) stand on, beside the
-- rows themselves: what its columns are called here, the site's clocks, and whole
-- numbers of the width that its columns have.
-- Meanings, units and invariants of every column: sql/README.md.

-- One row a column of the original that a metric of this site fills. The program
-- writes what [animov] of its configuration says.
CREATE TABLE IF NOT EXISTS column_metrics (
    name   VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY,
    metric VARBINARY(255) NOT NULL,          -- UTF-8
    zero   INT NOT NULL DEFAULT 0 CHECK (zero = 0), -- an INT, which a literal is not everywhere
    CHECK (name = 'total' OR name = 'couche' OR name = 'debout')
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC;

INSERT IGNORE INTO column_metrics (name, metric)
VALUES ('total', 'total'), ('couche', 'lying'), ('debout', 'standing');

-- One row a minute of every UTC day in which there is a window, whatever the
-- source: what the site's clocks show. The server needs no time zones so.
CREATE TABLE IF NOT EXISTS clock (
    site    TINYINT  NOT NULL DEFAULT 1 CHECK (site = 1),
    start_s BIGINT   NOT NULL,               -- the minute's beginning
    local   DATETIME NOT NULL,               -- what the clocks show then
    day     DATETIME AS (CAST(DATE(local) AS DATETIME)) STORED,
    hour    BIGINT   AS (HOUR(local)) VIRTUAL,
    minute  BIGINT   AS (MINUTE(local)) VIRTUAL,
    PRIMARY KEY (site, start_s),
    CHECK (start_s % 60 = 0),
    -- From days to their minutes. A day may have an hour twice.
    KEY by_day (day, start_s)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC;

-- 0 to 1439: the minutes of 24 hours, counted.
CREATE TABLE IF NOT EXISTS counted_minutes (
    n INT NOT NULL PRIMARY KEY
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC;

INSERT IGNORE INTO counted_minutes (n)
SELECT a.n + 10 * b.n + 100 * c.n + 1000 * d.n
FROM (SELECT 0 AS n UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4 UNION ALL
      SELECT 5 UNION ALL SELECT 6 UNION ALL SELECT 7 UNION ALL SELECT 8 UNION ALL SELECT 9) AS a
JOIN (SELECT 0 AS n UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4 UNION ALL
      SELECT 5 UNION ALL SELECT 6 UNION ALL SELECT 7 UNION ALL SELECT 8 UNION ALL SELECT 9) AS b
JOIN (SELECT 0 AS n UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4 UNION ALL
      SELECT 5 UNION ALL SELECT 6 UNION ALL SELECT 7 UNION ALL SELECT 8 UNION ALL SELECT 9) AS c
JOIN (SELECT 0 AS n UNION ALL SELECT 1) AS d
WHERE a.n + 10 * b.n + 100 * c.n + 1000 * d.n < 1440;

-- The original's columns are INT and TEXT, and a view has the types of what it is made
-- of: neither server can cast to these. Computed when read, they cost a commit nothing.
-- What an INT cannot hold is NULL. (MySQL knows no ADD COLUMN IF NOT EXISTS.)
SET @change = IF((SELECT COUNT(*) FROM information_schema.columns
                  WHERE table_schema = DATABASE() AND table_name = 'windows' AND column_name = 'minute_id') = 0,
    'ALTER TABLE windows
     ADD COLUMN frames_int INT AS (CASE WHEN frames <= 2147483647 THEN frames END) VIRTUAL,
     ADD COLUMN minute_id INT AS (
         CASE WHEN size = ''1m'' AND source <= 64
                   AND start_ms DIV 60000 BETWEEN 26297280 - 33554432 AND 26297280 + 33554431
              THEN (start_ms DIV 60000 - 26297280) * 64 + source - 1 END) VIRTUAL',
    'DO 0');
PREPARE animov_change FROM @change;
EXECUTE animov_change;

SET @change = IF((SELECT COUNT(*) FROM information_schema.columns
                  WHERE table_schema = DATABASE() AND table_name = 'window_metrics' AND column_name = 'sum_int') = 0,
    'ALTER TABLE window_metrics
     ADD COLUMN sum_int INT AS (CASE WHEN sum <= 2147483647 THEN sum END) VIRTUAL,
     ADD COLUMN min_int INT AS (CASE WHEN min <= 2147483647 THEN min END) VIRTUAL,
     ADD COLUMN max_int INT AS (CASE WHEN max <= 2147483647 THEN max END) VIRTUAL,
     ADD COLUMN modes_text TEXT CHARACTER SET ascii COLLATE ascii_bin AS (LEFT(modes, 65535)) VIRTUAL',
    'DO 0');
PREPARE animov_change FROM @change;
EXECUTE animov_change;

-- The tables of behaviours have the source as BIGINT, which must be a key, too; and
-- `site` is 1, as in `clock`: all sources by a key.
SET @change = IF((SELECT COUNT(*) FROM information_schema.columns
                  WHERE table_schema = DATABASE() AND table_name = 'sources' AND column_name = 'source_big') = 0,
    'ALTER TABLE sources
     ADD COLUMN source_big BIGINT AS (source) STORED,
     ADD COLUMN site TINYINT AS (1) STORED,
     ADD UNIQUE KEY source_big (source_big),
     ADD KEY site (site, source)',
    'DO 0');
PREPARE animov_change FROM @change;
EXECUTE animov_change;
DEALLOCATE PREPARE animov_change;
