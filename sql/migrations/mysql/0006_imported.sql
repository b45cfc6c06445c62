-- What was imported: headcounts of CSV files, prices of web pages, and minutes of
-- another database. Meanings, units and invariants of every column: sql/README.md.

CREATE TABLE IF NOT EXISTS headcount_files (
    file           BIGINT  NOT NULL AUTO_INCREMENT PRIMARY KEY,
    source         INT     NOT NULL,
    number         TINYINT NOT NULL CHECK (number = 1 OR number = 2),   -- 1: final, 2: final_2
    sha256         CHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    name           VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    bytes          BIGINT  NOT NULL CHECK (0 <= bytes),
    imported_at_ms BIGINT  NOT NULL,
    rows_read      BIGINT  NOT NULL CHECK (0 <= rows_read),
    rows_refused   BIGINT  NOT NULL CHECK (0 <= rows_refused),
    rows_new       BIGINT  NOT NULL CHECK (0 <= rows_new),
    whole          TINYINT NOT NULL CHECK (whole = 0 OR whole = 1),
    UNIQUE KEY by_content (source, number, sha256)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC;

-- A row is all that it says, so one that several files have is there once.
CREATE TABLE IF NOT EXISTS headcounts (
    source   INT         NOT NULL,
    number   TINYINT     NOT NULL CHECK (number = 1 OR number = 2),
    quarter  BIGINT      NOT NULL,                         -- of an hour, since 1970 on the wall's clock
    wall     DATETIME(3) NOT NULL,                         -- in no zone
    lying    DOUBLE      NOT NULL CHECK (-1 <= lying),     -- -1: the file says nothing
    standing DOUBLE      NOT NULL CHECK (-1 <= standing),
    nth      INT UNSIGNED NOT NULL,                        -- equal rows before it in its file
    file     BIGINT      NOT NULL,                         -- which brought it first
    PRIMARY KEY (source, number, quarter, wall, lying, standing, nth),
    -- For who asks by time alone.
    KEY by_wall (number, wall),
    KEY by_file (file)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC;

-- The original's tables, as its users read them.
CREATE OR REPLACE ALGORITHM = MERGE SQL SECURITY DEFINER VIEW final AS
SELECT
    wall                 AS `date`,
    NULLIF(lying, -1)    AS `Effectif couche`,
    NULLIF(standing, -1) AS `Effectif debout`,
    source               AS `Source`
FROM headcounts
WHERE number = 1;

CREATE OR REPLACE ALGORITHM = MERGE SQL SECURITY DEFINER VIEW final_2 AS
SELECT
    wall                 AS `date`,
    NULLIF(lying, -1)    AS `Effectif couche`,
    NULLIF(standing, -1) AS `Effectif debout`,
    source               AS `Source`
FROM headcounts
WHERE number = 2;

-- When somebody last began to visit a page: of several processes, one does.
CREATE TABLE IF NOT EXISTS price_pages (
    url         VARCHAR(2000) CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY,
    tried_at_ms BIGINT NOT NULL
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC;

CREATE TABLE IF NOT EXISTS price_visits (
    visit       BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    url         VARCHAR(2000) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    taken_at_ms BIGINT NOT NULL,
    UNIQUE KEY by_page_and_time (url, taken_at_ms),
    KEY by_time (taken_at_ms),
    KEY by_page (url, visit)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC;

CREATE TABLE IF NOT EXISTS prices (
    visit     BIGINT NOT NULL,
    place     INT UNSIGNED NOT NULL,                -- which row of the page, from 0
    product   VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    price     DOUBLE NULL,                          -- NULL: the page shows no number
    variation VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NULL,    -- in the page's words, or NULL
    PRIMARY KEY (visit, place),
    KEY by_product (product, visit, place)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC;

-- How far another database's minutes have been taken.
CREATE TABLE IF NOT EXISTS imported_databases (
    origin        INT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
    name          VARCHAR(512) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    last_id       BIGINT NOT NULL,
    rows_read     BIGINT NOT NULL CHECK (0 <= rows_read),
    rows_refused  BIGINT NOT NULL CHECK (0 <= rows_refused),
    updated_at_ms BIGINT NOT NULL,
    UNIQUE KEY by_name (name)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC;

-- Statistics without their histograms. What is NULL there is NULL here.
CREATE TABLE IF NOT EXISTS imported_minutes (
    source                 INT NOT NULL,
    start_ms               BIGINT NOT NULL,
    origin                 INT UNSIGNED NOT NULL,
    id                     BIGINT NOT NULL,                    -- its key there
    frames                 INT NULL,
    total_sum              INT NULL,
    total_min              INT NULL,
    total_max              INT NULL,
    total_std_x1000        INT NULL,
    total_q1_x1000         INT NULL,
    total_median_x1000     INT NULL,
    total_q3_x1000         INT NULL,
    total_modes            TEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NULL,
    lying_sum              INT NULL,
    lying_min              INT NULL,
    lying_max              INT NULL,
    lying_std_x1000        INT NULL,
    lying_q1_x1000         INT NULL,
    lying_median_x1000     INT NULL,
    lying_q3_x1000         INT NULL,
    lying_modes            TEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NULL,
    standing_sum           INT NULL,
    standing_min           INT NULL,
    standing_max           INT NULL,
    standing_std_x1000     INT NULL,
    standing_q1_x1000      INT NULL,
    standing_median_x1000  INT NULL,
    standing_q3_x1000      INT NULL,
    standing_modes         TEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NULL,
    PRIMARY KEY (source, start_ms, origin, id)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC;
