-- The original system's procedures: each source's last hour, which ends now.
--
-- Deviation and mean are those of all frames of the hour, from whole numbers; the
-- largest and the smallest are means of a minute. Where the original was wrong:
-- sql/README.md.
--
-- Whoever may call one needs no right on anything that it reads or writes.

-- What each minute counted of the original's three columns.
CREATE OR REPLACE ALGORITHM = MERGE SQL SECURITY DEFINER VIEW minute_counts AS
SELECT
    k.name,
    c.start_s,
    w.source,
    w.frames,
    IFNULL(m.sum, 0) AS sum,
    IFNULL(m.sum_squares, 0) AS sum_squares
FROM column_metrics AS k
JOIN clock AS c
JOIN sources AS o ON c.site = 1 AND o.site = 1
STRAIGHT_JOIN windows AS w
    ON w.source = o.source AND w.size = '1m' AND w.start_ms = c.start_s * 1000
LEFT JOIN window_metrics AS m
    ON m.source = w.source AND m.size = '1m' AND m.start_ms = w.start_ms AND m.metric = k.metric;

DROP PROCEDURE IF EXISTS hour_of_total;

CREATE PROCEDURE hour_of_total(IN now_s BIGINT)
    SQL SECURITY DEFINER
    COMMENT 'ResultatsEcartTypeTotal of the hour before now_s'
BEGIN
    DROP TEMPORARY TABLE IF EXISTS ResultatsEcartTypeTotal;
    CREATE TEMPORARY TABLE ResultatsEcartTypeTotal (
        source INT NOT NULL PRIMARY KEY,
        moyenne_total DECIMAL(10, 6),
        max_total DECIMAL(10, 0),
        min_total DECIMAL(10, 0),
        ecart_type_total DECIMAL(10, 6)
    ) ENGINE = InnoDB;
    INSERT INTO ResultatsEcartTypeTotal
    SELECT
        m.source,
        CAST(SUM(m.sum) / 1e0 / SUM(m.frames) AS DECIMAL(10, 6)),
        CAST(MAX(m.sum / 1e0 / m.frames) AS DECIMAL(10, 0)),
        CAST(MIN(m.sum / 1e0 / m.frames) AS DECIMAL(10, 0)),
        CAST(CASE WHEN 1 < SUM(m.frames) THEN
            SQRT((SUM(m.frames) * SUM(m.sum_squares) - SUM(m.sum) * SUM(m.sum))
                 / 1e0 / SUM(m.frames) / (SUM(m.frames) - 1))
        END AS DECIMAL(10, 6))
    FROM minute_counts AS m
    WHERE m.name = 'total' AND now_s - 3600 < m.start_s
    GROUP BY m.source;
END;

DROP PROCEDURE IF EXISTS hour_of_debout;

CREATE PROCEDURE hour_of_debout(IN now_s BIGINT)
    SQL SECURITY DEFINER
    COMMENT 'ResultatsEcartTypeDebout of the hour before now_s'
BEGIN
    DROP TEMPORARY TABLE IF EXISTS ResultatsEcartTypeDebout;
    CREATE TEMPORARY TABLE ResultatsEcartTypeDebout (
        source INT NOT NULL PRIMARY KEY,
        moyenne_debout DECIMAL(10, 6),
        max_debout DECIMAL(10, 0),
        min_debout DECIMAL(10, 0),
        ecart_type_debout DECIMAL(10, 6)
    ) ENGINE = InnoDB;
    INSERT INTO ResultatsEcartTypeDebout
    SELECT
        m.source,
        CAST(SUM(m.sum) / 1e0 / SUM(m.frames) AS DECIMAL(10, 6)),
        CAST(MAX(m.sum / 1e0 / m.frames) AS DECIMAL(10, 0)),
        CAST(MIN(m.sum / 1e0 / m.frames) AS DECIMAL(10, 0)),
        CAST(CASE WHEN 1 < SUM(m.frames) THEN
            SQRT((SUM(m.frames) * SUM(m.sum_squares) - SUM(m.sum) * SUM(m.sum))
                 / 1e0 / SUM(m.frames) / (SUM(m.frames) - 1))
        END AS DECIMAL(10, 6))
    FROM minute_counts AS m
    WHERE m.name = 'debout' AND now_s - 3600 < m.start_s
    GROUP BY m.source;
END;

DROP PROCEDURE IF EXISTS hour_of_couche;

CREATE PROCEDURE hour_of_couche(IN now_s BIGINT)
    SQL SECURITY DEFINER
    COMMENT 'ResultatsEcartTypeCouche of the hour before now_s'
BEGIN
    DROP TEMPORARY TABLE IF EXISTS ResultatsEcartTypeCouche;
    CREATE TEMPORARY TABLE ResultatsEcartTypeCouche (
        source INT NOT NULL PRIMARY KEY,
        moyenne_couche DECIMAL(10, 6),
        max_couche DECIMAL(10, 0),
        min_couche DECIMAL(10, 0),
        ecart_type_couche DECIMAL(10, 6)
    ) ENGINE = InnoDB;
    INSERT INTO ResultatsEcartTypeCouche
    SELECT
        m.source,
        CAST(SUM(m.sum) / 1e0 / SUM(m.frames) AS DECIMAL(10, 6)),
        CAST(MAX(m.sum / 1e0 / m.frames) AS DECIMAL(10, 0)),
        CAST(MIN(m.sum / 1e0 / m.frames) AS DECIMAL(10, 0)),
        CAST(CASE WHEN 1 < SUM(m.frames) THEN
            SQRT((SUM(m.frames) * SUM(m.sum_squares) - SUM(m.sum) * SUM(m.sum))
                 / 1e0 / SUM(m.frames) / (SUM(m.frames) - 1))
        END AS DECIMAL(10, 6))
    FROM minute_counts AS m
    WHERE m.name = 'couche' AND now_s - 3600 < m.start_s
    GROUP BY m.source;
END;

DROP PROCEDURE IF EXISTS CalculerEcartTypeHeureTotal;

CREATE PROCEDURE CalculerEcartTypeHeureTotal()
    SQL SECURITY DEFINER
CALL hour_of_total(UNIX_TIMESTAMP());

DROP PROCEDURE IF EXISTS CalculerEcartTypeHeureDebout;

CREATE PROCEDURE CalculerEcartTypeHeureDebout()
    SQL SECURITY DEFINER
CALL hour_of_debout(UNIX_TIMESTAMP());

DROP PROCEDURE IF EXISTS CalculerEcartTypeHeureCouche;

CREATE PROCEDURE CalculerEcartTypeHeureCouche()
    SQL SECURITY DEFINER
CALL hour_of_couche(UNIX_TIMESTAMP());

-- The three and what they give together. Like the original, whose DROP TABLE did so,
-- it ends the caller's transaction. It reads in one moment and writes in one: readers
-- of ResultatsConsolides see what one call found, whole, and the table is always there.
DROP PROCEDURE IF EXISTS ConsoliderResultatsEcartType;

CREATE PROCEDURE ConsoliderResultatsEcartType()
    SQL SECURITY DEFINER
BEGIN
    DECLARE now_s BIGINT DEFAULT UNIX_TIMESTAMP();
    DECLARE turn VARCHAR(16);
    DECLARE EXIT HANDLER FOR SQLEXCEPTION
    BEGIN
        ROLLBACK;
        RESIGNAL;
    END;
    COMMIT;
    SET TRANSACTION ISOLATION LEVEL REPEATABLE READ;
    START TRANSACTION WITH CONSISTENT SNAPSHOT;
    CALL hour_of_total(now_s);
    CALL hour_of_debout(now_s);
    CALL hour_of_couche(now_s);
    COMMIT;
    SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
    START TRANSACTION;
    -- One caller at a time from here on: this row is there, and hardly ever written.
    SELECT name INTO turn FROM column_metrics WHERE name = 'total' FOR UPDATE;
    DELETE FROM ResultatsConsolides;
    INSERT INTO ResultatsConsolides (
        source,
        moyenne_total, max_total, min_total, ecart_type_total,
        moyenne_debout, max_debout, min_debout, ecart_type_debout,
        moyenne_couche, max_couche, min_couche, ecart_type_couche
    )
    SELECT
        t.source,
        t.moyenne_total, t.max_total, t.min_total, t.ecart_type_total,
        d.moyenne_debout, d.max_debout, d.min_debout, d.ecart_type_debout,
        c.moyenne_couche, c.max_couche, c.min_couche, c.ecart_type_couche
    FROM ResultatsEcartTypeTotal AS t
    JOIN ResultatsEcartTypeDebout AS d ON d.source = t.source
    JOIN ResultatsEcartTypeCouche AS c ON c.source = t.source;
    COMMIT;
END;
