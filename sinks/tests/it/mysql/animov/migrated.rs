//! Tables of the version before the original's views, with rows in them.

use schemas::commit::StateStore;
use sinks::state::mysql::MySqlState;
use sqlx::Row;

use crate::mysql::animov::herd::{Dice, Herd};
use crate::mysql::animov::{database_of, shape};
use crate::mysql::database::Database;

/// Takes back whatever came after the third migration.
pub(crate) fn take_back(database: &Database) {
    let named = |sql: &str| database.ask(sql, |row| row.get::<String, _>(0));
    let views = "SELECT CAST(table_name AS CHAR) FROM information_schema.views
                 WHERE table_schema = DATABASE() AND table_name <> 'window_statistics'";
    for view in named(views) {
        database.run(&format!("DROP VIEW {view}"));
    }
    let procedures = "SELECT CAST(routine_name AS CHAR) FROM information_schema.routines
                      WHERE routine_schema = DATABASE()";
    for procedure in named(procedures) {
        database.run(&format!("DROP PROCEDURE {procedure}"));
    }
    database.run(
        "DROP TABLE column_metrics, clock, counted_minutes, ResultatsConsolides;
         ALTER TABLE windows DROP COLUMN frames_int, DROP COLUMN minute_id;
         ALTER TABLE window_metrics DROP COLUMN sum_int, DROP COLUMN min_int, DROP COLUMN max_int, DROP COLUMN modes_text;
         ALTER TABLE sources DROP KEY source_big, DROP KEY site, DROP COLUMN source_big, DROP COLUMN site;
         DELETE FROM _sqlx_migrations WHERE 3 < version",
    );
}

#[test]
fn rows_of_the_version_before_are_in_the_views_after_migrating() {
    let mut herd = Herd { zone: "Europe/Paris".into(), frames: Vec::new() };
    // Over the night in which the clocks are changed.
    herd.add(&mut Dice(5), 1, 1_792_900_000_000, 2 * 1440);
    herd.add(&mut Dice(6), 2, 1_792_700_000_000, 300);
    let Some((database, state)) = database_of(&herd) else { return };
    drop(state);
    let all = |table: &str| {
        let sql = format!("SELECT * FROM {table} ORDER BY id");
        database.ask(&sql, |row| {
            let value =
                |column: usize| row.get_unchecked::<Option<&[u8]>, _>(column).map(<[u8]>::to_vec);
            (0..row.len()).map(value).collect::<Vec<_>>()
        })
    };
    let tables =
        ["table_chevres_minute_serveur_v2", "table_chevres_minute", "table_chevres_heures"];
    let before = tables.map(all);
    assert!(1000 < before[0].len() && 20 < before[2].len());

    take_back(&database);
    let migrate = || MySqlState::migrate(&database.config(), database.password().as_ref()).unwrap();
    let (was, now) = migrate();
    assert!(was == 3 && 7 <= now);
    assert!(tables.map(all) == before, "not the rows that were there");
    // Once more, and whatever a migration that was interrupted had begun.
    assert_eq!(migrate(), (now, now));
    database.run("DELETE FROM _sqlx_migrations WHERE 3 < version");
    assert_eq!(migrate(), (3, now));
    assert!(tables.map(all) == before);
    database.open().shape(&shape("Europe/Paris")).unwrap();
}
