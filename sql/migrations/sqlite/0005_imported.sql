-- What was imported: headcounts of CSV files, prices of web pages, and minutes of
-- another database. Meanings, units and invariants of every column: sql/README.md.

CREATE TABLE headcount_files (
    file           INTEGER NOT NULL PRIMARY KEY CHECK (0 < file),
    source         INTEGER NOT NULL CHECK (0 < source),
    number         INTEGER NOT NULL CHECK (number IN (1, 2)),       -- 1: final, 2: final_2
    sha256         TEXT    NOT NULL,
    name           TEXT    NOT NULL,
    bytes          INTEGER NOT NULL CHECK (0 <= bytes),
    imported_at_ms INTEGER NOT NULL,
    rows_read      INTEGER NOT NULL CHECK (0 <= rows_read),
    rows_refused   INTEGER NOT NULL CHECK (0 <= rows_refused),
    rows_new       INTEGER NOT NULL CHECK (0 <= rows_new),
    whole          INTEGER NOT NULL CHECK (whole IN (0, 1)),
    UNIQUE (source, number, sha256)
) STRICT;

-- A row is all that it says, so one that several files have is there once.
CREATE TABLE headcounts (
    source   INTEGER NOT NULL CHECK (0 < source),
    number   INTEGER NOT NULL CHECK (number IN (1, 2)),
    quarter  INTEGER NOT NULL,                  -- of an hour, since 1970 on the wall's clock
    wall     TEXT    NOT NULL,                  -- 2026-03-01 12:00:00.000, in no zone
    lying    REAL    NOT NULL CHECK (-1 <= lying),     -- -1: the file says nothing
    standing REAL    NOT NULL CHECK (-1 <= standing),
    nth      INTEGER NOT NULL CHECK (0 <= nth), -- equal rows before it in its file
    file     INTEGER NOT NULL,                  -- which brought it first
    PRIMARY KEY (source, number, quarter, wall, lying, standing, nth)
) STRICT, WITHOUT ROWID;

CREATE INDEX headcounts_by_file ON headcounts (file);

-- When somebody last began to visit a page: of several processes, one does.
CREATE TABLE price_pages (
    url         TEXT    NOT NULL PRIMARY KEY,
    tried_at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE price_visits (
    visit       INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    url         TEXT    NOT NULL,
    taken_at_ms INTEGER NOT NULL,
    UNIQUE (url, taken_at_ms)
) STRICT;

CREATE INDEX price_visits_by_time ON price_visits (taken_at_ms);
CREATE INDEX price_visits_by_page ON price_visits (url, visit);

CREATE TABLE prices (
    visit     INTEGER NOT NULL,
    place     INTEGER NOT NULL CHECK (0 <= place),   -- which row of the page, from 0
    product   TEXT    NOT NULL,
    price     REAL,                                  -- NULL: the page shows no number
    variation TEXT,                                  -- in the page's words, or NULL
    PRIMARY KEY (visit, place)
) STRICT, WITHOUT ROWID;

CREATE INDEX prices_by_product ON prices (product, visit, place);

-- How far another database's minutes have been taken.
CREATE TABLE imported_databases (
    origin        INTEGER NOT NULL PRIMARY KEY CHECK (0 < origin),
    name          TEXT    NOT NULL UNIQUE,
    last_id       INTEGER NOT NULL,
    rows_read     INTEGER NOT NULL CHECK (0 <= rows_read),
    rows_refused  INTEGER NOT NULL CHECK (0 <= rows_refused),
    updated_at_ms INTEGER NOT NULL
) STRICT;

-- Statistics without their histograms. What is NULL there is NULL here.
CREATE TABLE imported_minutes (
    source                 INTEGER NOT NULL CHECK (0 < source),
    start_ms               INTEGER NOT NULL,
    origin                 INTEGER NOT NULL,
    id                     INTEGER NOT NULL,                   -- its key there
    frames                 INTEGER,
    total_sum              INTEGER,
    total_min              INTEGER,
    total_max              INTEGER,
    total_std_x1000        INTEGER,
    total_q1_x1000         INTEGER,
    total_median_x1000     INTEGER,
    total_q3_x1000         INTEGER,
    total_modes            TEXT   ,
    lying_sum              INTEGER,
    lying_min              INTEGER,
    lying_max              INTEGER,
    lying_std_x1000        INTEGER,
    lying_q1_x1000         INTEGER,
    lying_median_x1000     INTEGER,
    lying_q3_x1000         INTEGER,
    lying_modes            TEXT   ,
    standing_sum           INTEGER,
    standing_min           INTEGER,
    standing_max           INTEGER,
    standing_std_x1000     INTEGER,
    standing_q1_x1000      INTEGER,
    standing_median_x1000  INTEGER,
    standing_q3_x1000      INTEGER,
    standing_modes         TEXT   ,
    PRIMARY KEY (source, start_ms, origin, id)
) STRICT, WITHOUT ROWID;
