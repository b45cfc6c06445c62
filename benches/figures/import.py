"""The reference of the import: DuckDB groups the same file into the same windows.

    python import.py FILE

Reads the newline JSON once, with the columns declared, and computes every statistic that a row of
ours has, of the three usual metrics, by source and window, for each size.
"""

import sys

import duckdb

SIZES = [("1m", 60), ("5m", 300), ("15m", 900), ("1h", 3600), ("1d", 86400)]
METRICS = ["lying", "standing", "total"]

STATISTICS = ", ".join(
    f"sum({m}), min({m}), max({m}), avg({m}), stddev_samp({m}), quantile_cont({m}, [0.25, 0.5, 0.75]), mode({m})"
    for m in METRICS
)

connection = duckdb.connect()
connection.execute(
    """
    CREATE TEMP TABLE frames AS
    SELECT source, captured_at // 1000 AS second, lying, standing, lying + standing AS total
    FROM read_json(?, format = 'newline_delimited', columns = {
        source: 'INTEGER', seq: 'BIGINT', captured_at: 'BIGINT', lying: 'INTEGER', standing: 'INTEGER'})
    """,
    [sys.argv[1]],
)
for name, seconds in SIZES:
    rows = connection.execute(
        f"CREATE TEMP TABLE w{name} AS SELECT source, second // {seconds} AS start, count(*), {STATISTICS}"
        " FROM frames GROUP BY ALL"
    ).fetchone()
    print(name, rows[0])
