use std::io::Write;

use sqlx::mysql::MySqlConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, MySqlConnection};

use super::*;
use crate::state::mysql::compare::{LOCK_PARTITIONS, LOCK_SOURCES};
use crate::state::mysql::schema::MIGRATIONS;

/// Three sources with two thousand minutes each, of which the last three are
/// open, and some of everything else: the server plans by what is there.
const HISTORY: &[&str] = &[
    "CREATE TABLE numbers (n INT PRIMARY KEY)",
    "INSERT INTO numbers VALUES (0), (1), (2), (3), (4), (5), (6), (7), (8), (9)",
    "INSERT INTO numbers SELECT a.n + 10 * (b.n + 1) FROM numbers AS a, numbers AS b",
    "INSERT INTO numbers SELECT a.n + 110 * (b.n + 1) FROM numbers AS a, numbers AS b WHERE b.n < 20",
    "INSERT INTO sources (source, rev, watermark_ms, last_appended_at_ms, last_captured_at_ms, accepted,
                          log, `partition`)
     SELECT n + 1, 1, 0, 0, 0, 1, 'log', n FROM numbers WHERE n < 3",
    "INSERT INTO source_metrics SELECT n + 1, 'total' FROM numbers WHERE n < 3",
    "INSERT INTO partitions SELECT 'log', n, 1, 0, 0, 0, 0, 0, 0, 0 FROM numbers WHERE n < 3",
    "INSERT INTO windows (source, size, start_ms, end_ms, frames, frames_expected, status, rev)
     SELECT s.source, '1m', n * 60000, (n + 1) * 60000, 1, 1, IF(n < 1997, 'final', 'open'), 1
     FROM numbers, sources AS s WHERE n < 2000",
    "INSERT INTO window_metrics (source, size, start_ms, metric, sum, sum_squares, min, max, q1_x4,
                                 median_x4, q3_x4, modes, histogram)
     SELECT source, size, start_ms, m.metric, 0, 0, 0, 0, 0, 0, 0, '0', '{\"0\":1}'
     FROM windows, (SELECT 'lying' AS metric UNION SELECT 'total') AS m",
    "INSERT INTO seq_blocks
     SELECT 1, 'c77a2c5e-0000-4000-8000-000000000000', n, 1, x'0001' FROM numbers",
    "INSERT INTO parked (log, `partition`, `offset`, appended_at_ms, reason, detail, bytes)
     SELECT 'log', 0, n, 0, 'invalid', '', '' FROM numbers",
    "INSERT INTO parked_rest SELECT 'log', 0, n, 1, '' FROM numbers",
    "ANALYZE TABLE sources, source_metrics, partitions, windows, window_metrics, seq_blocks, parked",
];

async fn run(connection: &mut MySqlConnection, sql: &str) {
    let sql = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()));
    // All, because some give rows.
    sql.fetch_all(connection).await.unwrap();
}

/// How the server would find the rows of `sql`, its question marks filled with
/// `values`: a line a table.
async fn plan(connection: &mut MySqlConnection, sql: &str, values: &[&str]) -> Vec<String> {
    let parts: Vec<&str> = sql.split('?').collect();
    assert_eq!(parts.len(), values.len() + 1, "{sql}");
    let ends = values.iter().copied().chain([""]);
    let filled: String = parts.into_iter().zip(ends).flat_map(|(part, end)| [part, end]).collect();
    let explain = sqlx::raw_sql(AssertSqlSafe(format!("EXPLAIN {filled}")));
    let steps = explain.fetch_all(connection).await.unwrap();
    let step = |row: &MySqlRow| {
        let column = |name| row.get::<Option<String>, _>(name).unwrap_or_default();
        let [table, by, key] = ["table", "type", "key"].map(column);
        format!("{table} {by} {key}; {}", column("Extra"))
    };
    steps.iter().map(step).collect()
}

/// Makes the tables in a database of its own, and fills them; `None` without a
/// server.
async fn history(name: &str) -> Option<MySqlConnection> {
    let Ok(url) = std::env::var("ANIMOV_TEST_MYSQL") else {
        // Past the harness, which shows nothing of a test that passes.
        writeln!(std::io::stderr(), "SKIPPED: ANIMOV_TEST_MYSQL names no server").unwrap();
        return None;
    };
    let mut connection = url.parse::<MySqlConnectOptions>().unwrap().connect().await.unwrap();
    run(&mut connection, &format!("DROP DATABASE IF EXISTS {name}; CREATE DATABASE {name}")).await;
    run(&mut connection, &format!("USE {name}")).await;
    for (_, tables) in MIGRATIONS {
        run(&mut connection, tables).await;
    }
    for step in HISTORY {
        run(&mut connection, step).await;
    }
    Some(connection)
}

#[tokio::test]
async fn every_query_finds_its_rows_by_a_key() {
    let name = format!("animov_explain_{}", std::process::id());
    let Some(mut connection) = history(&name).await else { return };
    let session = "'c77a2c5e-0000-4000-8000-000000000000'";
    let range = ["2", "'1m'", "60000", "600000"];
    let limited = ["2", "'1m'", "60000", "600000", "10"];
    let of_metric = ["2", "'1m'", "60000", "600000", "'total'"];
    let cases: [(&str, &[&str], &[&str]); 13] = [
        (OPEN_WINDOWS, &["2"], &["windows ref open_windows"]),
        (OPEN_METRICS, &["2"], &["w ref open_windows", "m ref PRIMARY"]),
        (OLDEST_FIRST, &limited, &["windows range PRIMARY"]),
        (NEWEST_FIRST, &limited, &["windows range PRIMARY"]),
        (ALL_METRICS, &range, &["window_metrics range PRIMARY"]),
        (ONE_METRIC, &of_metric, &["window_metrics range PRIMARY"]),
        (ONE_SOURCE, &["2"], &["sources const PRIMARY"]),
        (SEQS, &["1", session, "7"], &["seq_blocks const PRIMARY"]),
        (PARKED_REST, &["'log'", "0", "7"], &["parked_rest ref PRIMARY"]),
        // Backwards, and ended by the limit.
        (PARKED, &["10"], &["parked index PRIMARY"]),
        // Nothing but what was asked for is locked, however few rows there are.
        (&LOCK_PARTITIONS.text(4), &["'log'", "0", "1", "2", "2"], &["partitions range PRIMARY"]),
        (&LOCK_SOURCES.text(4), &["1", "2", "3", "3"], &["sources range PRIMARY"]),
        (&LOCK_SOURCES.text(1), &["2"], &["sources const PRIMARY"]),
    ];
    let mut wrong = Vec::new();
    for (sql, values, expected) in cases {
        let steps = plan(&mut connection, sql, values).await;
        let by_key = steps.len() == expected.len()
            && steps.iter().zip(expected).all(|(step, expected)| step.starts_with(expected));
        let sorts =
            steps.iter().any(|step| step.contains("filesort") || step.contains("temporary"));
        if !by_key || sorts {
            wrong.push(format!("{steps:?}: {sql}"));
        }
    }
    // All sources are asked for, and of the windows only those that are open.
    let steps = plan(&mut connection, OPEN_SOURCES, &[]).await;
    if !steps.iter().any(|step| step.starts_with("windows ref open_windows")) {
        wrong.push(format!("{steps:?}: {OPEN_SOURCES}"));
    }
    run(&mut connection, &format!("DROP DATABASE {name}")).await;
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
