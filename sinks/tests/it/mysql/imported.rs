//! The original's tables of headcounts, for those who ask them in SQL.

use schemas::imported::{Headcount, HeadcountFile, ImportedStore, Table, Wall};
use schemas::time::UnixMillis;
use sqlx::Row;

use super::Database;
use crate::conformance::log::source;

fn put(store: &dyn ImportedStore, table: Table, rows: &[Headcount]) {
    let file = HeadcountFile {
        source: source(7),
        table,
        name: "pen.csv".to_owned(),
        sha256: table.name().repeat(20).chars().take(64).collect(),
        bytes: 1,
        imported_at: UnixMillis::new(0),
        rows_read: u64::try_from(rows.len()).unwrap(),
        rows_refused: 0,
    };
    store.put_headcounts(&file, rows).unwrap();
}

fn row(wall: &str, lying: Option<f64>, standing: Option<f64>) -> Headcount {
    Headcount { wall: Wall::of(wall.parse().unwrap()).unwrap(), lying, standing, nth: 0 }
}

#[test]
fn the_originals_tables_have_its_columns_and_the_rows_of_the_files() {
    let Some(database) = Database::new() else { return };
    let store = database.open();
    let rows = [
        row("2026-03-01 12:00:00.250", Some(3.0), Some(4.5)),
        row("1000-01-01 00:00:00", None, Some(0.0)),
        row("9999-12-31 23:59:59.999", Some(1.0), None),
    ];
    put(&store, Table::First, &rows);
    put(&store, Table::Second, &rows[..1]);
    let of = |table: &str| {
        let sql = format!(
            "SELECT CONCAT_WS('|', `date`, COALESCE(`Effectif couche`, 'NULL'),
                              COALESCE(`Effectif debout`, 'NULL'), `Source`)
             FROM {table} ORDER BY `date`"
        );
        database.ask(&sql, |row| row.get::<String, _>(0))
    };
    assert_eq!(
        of("final"),
        [
            "1000-01-01 00:00:00.000|NULL|0|7",
            "2026-03-01 12:00:00.250|3|4.5|7",
            "9999-12-31 23:59:59.999|1|NULL|7",
        ]
    );
    assert_eq!(of("final_2"), ["2026-03-01 12:00:00.250|3|4.5|7"]);
    let columns = database.ask(
        "SELECT CONCAT(table_name, '.', column_name, ' ', data_type)
         FROM information_schema.columns
         WHERE table_schema = DATABASE() AND table_name IN ('final', 'final_2')
         ORDER BY table_name, ordinal_position",
        |row| row.get::<String, _>(0),
    );
    let of = |table| {
        ["date datetime", "Effectif couche double", "Effectif debout double", "Source int"]
            .map(|column| format!("{table}.{column}"))
    };
    assert_eq!(columns, [of("final"), of("final_2")].concat());
}

#[test]
fn who_asks_the_originals_tables_for_a_time_reads_no_more_than_that() {
    let Some(database) = Database::new() else { return };
    let store = database.open();
    let rows: Vec<Headcount> = (0..3000)
        .map(|n| {
            row(
                &format!("2026-03-{:02} 12:{:02}:00", 1 + n / 120 % 28, n % 60),
                Some(n.into()),
                None,
            )
        })
        .collect();
    put(&store, Table::First, &rows);
    database.run("ANALYZE TABLE headcounts");
    for asked in [
        "SELECT * FROM final WHERE `date` >= '2026-03-04' AND `date` < '2026-03-05'",
        "SELECT * FROM final WHERE `Source` = 8",
    ] {
        let read =
            database.ask(&format!("EXPLAIN FORMAT=JSON {asked}"), |row| row.get::<String, _>(0));
        let plan: serde_json::Value = serde_json::from_str(&read.concat()).unwrap();
        let plan = plan.to_string();
        assert!(
            plan.contains("\"key\":\"by_wall\"") || plan.contains("\"key\":\"PRIMARY\""),
            "{plan}"
        );
        assert!(!plan.contains("\"access_type\":\"ALL\""), "{plan}");
    }
}
