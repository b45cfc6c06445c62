//! How the server finds what the views ask for: by keys, however long the history.

use sqlx::Row;

use crate::mysql::database::Database;

/// Ten sources, three days of minutes and hours until `NOW`.
const NOW: i64 = 1_772_366_400;
const FILL: &str = "
    INSERT INTO sources (source, rev, watermark_ms, last_appended_at_ms, last_captured_at_ms, accepted, log, `partition`)
    SELECT n, 1, 0, 0, 0, 1, 'log', 0 FROM counted_minutes WHERE n BETWEEN 1 AND 10;
    INSERT INTO clock (start_s, local)
    SELECT 1772366400 - 86400 * d.n - 60 * m.n,
           TIMESTAMP('1970-01-01') + INTERVAL (1772366400 - 86400 * d.n - 60 * m.n) SECOND
    FROM counted_minutes AS d JOIN counted_minutes AS m WHERE d.n < 3;
    INSERT INTO windows (source, size, start_ms, end_ms, frames, frames_expected, status, rev)
    SELECT o.source, k.size, c.start_s * 1000, c.start_s * 1000 + 60000, 60, 60, 'final', 1
    FROM sources AS o JOIN clock AS c
    JOIN (SELECT '1m' AS size, 60 AS seconds UNION ALL SELECT '1h', 3600) AS k ON c.start_s MOD k.seconds = 0;
    INSERT INTO window_metrics (source, size, start_ms, metric, sum, sum_squares, min, max, q1_x4, median_x4,
                                q3_x4, modes, histogram)
    SELECT w.source, w.size, w.start_ms, k.metric, 60, 60, 1, 1, 4, 4, 4, '1', '{\"1\":60}'
    FROM windows AS w JOIN column_metrics AS k;";

/// One line of EXPLAIN.
struct Step {
    table: String,
    how: String,
    key: Option<String>,
    extra: String,
}

impl Step {
    /// Whether it reads one of the tables that grow with the history, under the name
    /// that the views have for it.
    fn grows(&self) -> bool {
        let names = ["w", "t", "l", "s", "m", "brush", "drink", "eat", "class_0", "class_1"];
        names.contains(&self.table.as_str())
    }
}

fn explain(database: &Database, sql: &str) -> Vec<Step> {
    let sql = format!("SET SESSION timestamp = {NOW}; EXPLAIN {sql}");
    database.ask(&sql, |row| {
        let text = |column| row.try_get::<Option<String>, _>(column).unwrap();
        Step {
            table: text("table").unwrap_or_default(),
            how: text("type").unwrap_or_default(),
            key: text("key"),
            extra: text("Extra").unwrap_or_default(),
        }
    })
}

fn filled() -> Option<Database> {
    let database = Database::new()?;
    drop(database.open());
    database.run(FILL);
    database.run("ANALYZE TABLE windows, window_metrics, clock, sources");
    Some(database)
}

/// What people ask, all of a bounded time. `newest_minutes` reads one row of each
/// source, from the end of its key.
fn bounded() -> Vec<String> {
    let views = [
        "vue_chevres_derniere_minute_v2",
        "vue_chevres_derniere_minute",
        "vue_chevres_serier_heure",
        "vue_chevre_derniere_heure_last",
        "vue_chevres_serier_jour",
        "vue_chevre_derniere_jour_last",
    ];
    let tables = [
        format!("table_chevres_minute_serveur_v2 WHERE timestamp BETWEEN {} AND {NOW}", NOW - 7200),
        format!("table_chevres_minute_serveur_v2 WHERE timestamp = {NOW}"),
        "table_chevres_minute WHERE jour = '2026-02-28'".to_owned(),
        "table_chevres_minute WHERE jour = '2026-02-28' AND heure = 7".to_owned(),
        "table_chevres_heures WHERE jour BETWEEN '2026-02-27' AND '2026-02-28'".to_owned(),
    ];
    let views = views.map(str::to_owned).into_iter().chain(tables);
    let of_one = |from: String| match from.contains("WHERE") {
        true => [from.clone(), format!("{from} AND source = 3")],
        false => [from.clone(), format!("{from} WHERE source = 3")],
    };
    views.flat_map(of_one).map(|from| format!("SELECT * FROM {from}")).collect()
}

#[test]
fn every_window_is_found_by_its_whole_key() {
    let Some(database) = filled() else { return };
    for sql in bounded() {
        let mut windows = 0;
        for step in explain(&database, &sql).iter().filter(|step| step.grows()) {
            let Step { table, how, key, extra } = step;
            let of_newest = how == "ref" && extra.contains("Using index");
            let whole = ["eq_ref", "const"].contains(&how.as_str()) || of_newest;
            assert!(
                whole && key.as_deref() == Some("PRIMARY"),
                "{sql}: {table} {how} {key:?} {extra}"
            );
            windows += 1;
        }
        assert!(2 <= windows, "{sql}: no windows are read");
    }
}

#[test]
fn a_bound_on_the_time_is_a_bound_on_the_clock() {
    let Some(database) = filled() else { return };
    for sql in bounded() {
        let steps = explain(&database, &sql);
        // The view that tells the series' time looks up a minute of each row.
        for Step { table, how, key, .. } in steps.iter().filter(|step| step.table == "c") {
            let bound = ["range", "ref", "eq_ref", "const"].contains(&how.as_str());
            let by = ["PRIMARY", "by_day"].iter().any(|name| key.as_deref() == Some(name));
            assert!(bound && by, "{sql}: {table} {how} {key:?}");
        }
    }
}

/// Rows of the tables and their keys that the server reads for `sql`.
fn reads(database: &Database, sql: &str) -> i64 {
    let sql = format!("SET SESSION timestamp = {NOW}; FLUSH STATUS; {sql}");
    let count = "SELECT CAST(SUM(variable_value) AS SIGNED) FROM information_schema.session_status
                 WHERE variable_name LIKE 'Handler_read%'";
    database
        .ask(&format!("{sql}; {count}"), |row| row.try_get::<i64, _>(0).ok())
        .pop()
        .flatten()
        .unwrap()
}

#[test]
fn what_is_read_does_not_grow_with_the_history() {
    let Some(database) = filled() else { return };
    let is_mariadb =
        database.ask("SELECT VERSION()", |row| row.get::<String, _>(0))[0].contains("MariaDB");
    if !is_mariadb {
        return; // MySQL keeps these counts elsewhere.
    }
    // Ten sources: ten rows for each minute of the range, each found with its three
    // metrics, clock and source.
    for (sql, at_most) in [
        ("vue_chevres_derniere_minute_v2", 2 * 10 * 12),
        ("vue_chevres_derniere_minute", 10 * 20),
        ("vue_chevres_serier_heure", 60 * 10 * 12),
        ("vue_chevre_derniere_heure_last", 60 * 10 * 12),
        ("vue_chevres_serier_heure WHERE source = 3", 60 * 12),
        ("vue_chevres_serier_jour", 1440 * 10 * 12),
        ("vue_chevres_serier_jour WHERE source = 3", 1440 * 12),
        ("vue_chevre_derniere_jour_last", 1440 * 10 * 12),
        ("table_chevres_minute_serveur_v2 ORDER BY timestamp DESC LIMIT 10", 200),
        ("table_chevres_minute_serveur_v2 WHERE source = 3 ORDER BY timestamp DESC LIMIT 10", 200),
    ] {
        let read =
            reads(&database, &format!("SELECT SUM(source) FROM (SELECT * FROM {sql}) AS it"));
        assert!(read <= at_most, "{sql}: {read} reads");
    }
    let read = reads(
        &database,
        "SELECT COUNT(*) FROM (SELECT DISTINCT source FROM table_chevres_minute_serveur_v2) AS it",
    );
    assert!(read <= 10 * 10, "the list of sources: {read} reads");
}
