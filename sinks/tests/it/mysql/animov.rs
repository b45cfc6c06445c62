//! The original system's tables, views and procedures, on the server that
//! `ANIMOV_TEST_MYSQL` names: their shape, their numbers, how they are found, and
//! who may see them.

mod callers;
mod contract;
mod herd;
pub(super) mod migrated;
mod pandas;
mod plans;
mod reader;

use schemas::commit::{Shape, StateStore};
use schemas::metric::{MetricRules, Postures};
use schemas::window::Calendar;
use sinks::state::mysql::MySqlState;
use sqlx::Row;

use crate::mysql::database::Database;
use herd::{Frame, Herd};

/// Tells the tables the zone, as the pipeline does before it commits.
fn shape(zone: &str) -> Shape {
    Shape { zone: zone.to_owned(), metrics: MetricRules::default() }
}

/// A database of its own with the frames of `herd`.
fn database_of(herd: &Herd) -> Option<(Database, MySqlState)> {
    let database = Database::new()?;
    let state = database.open();
    state.shape(&shape(&herd.zone)).unwrap();
    herd.commit(&state);
    Some((database, state))
}

#[test]
fn the_columns_show_the_metrics_that_the_configuration_names() {
    let zone = "UTC";
    // Two lie, one stands and four eat, in each of two frames.
    let frame = |at_ms| Frame { source: 1, at_ms, lying: 2, standing: 1, eat: 4, brush: 0 };
    let herd = Herd { zone: zone.into(), frames: vec![frame(60_000), frame(61_000)] };
    let Some((database, state)) = database_of(&herd) else { return };
    let shown = || {
        let sql = "SELECT total, couche, debout, mode_couche, Q2_couche + 0e0
                   FROM table_chevres_minute_serveur_v2";
        let rows = database.ask(sql, |row| {
            let int = |column| row.get::<i32, _>(column);
            (int(0), int(1), int(2), row.get::<String, _>(3), row.get::<f64, _>(4))
        });
        rows.into_iter().next().unwrap()
    };
    assert_eq!(shown(), (6, 4, 2, "2".into(), 2.0));
    let named = Postures { total: "lying".into(), lying: "eat".into(), standing: "nobody".into() };
    state.name_columns(&named).unwrap();
    // What has no row in a window was seen in none of its frames.
    assert_eq!(shown(), (4, 8, 0, "4".into(), 4.0));
    state.name_columns(&named).unwrap();
    state.name_columns(&Postures::default()).unwrap();
    assert_eq!(shown(), (6, 4, 2, "2".into(), 2.0));
    let reading =
        MySqlState::open_read_only(&database.config(), database.password().as_ref()).unwrap();
    assert!(reading.name_columns(&named).is_err());
    assert_eq!(shown(), (6, 4, 2, "2".into(), 2.0));
}

#[test]
fn all_modes_are_told_and_one_frame_has_no_deviation() {
    let frame = |at_ms, lying| Frame { source: 7, at_ms, lying, standing: 0, eat: 0, brush: 0 };
    let frames =
        vec![frame(0, 3), frame(1000, 5), frame(2000, 5), frame(3000, 3), frame(60_000, 4)];
    let Some((database, _state)) = database_of(&Herd { zone: "UTC".into(), frames }) else {
        return;
    };
    let sql = "SELECT mode_couche, mode_debout, CAST(std_couche AS CHAR), nb_frames
               FROM table_chevres_minute_serveur_v2 ORDER BY timestamp";
    let told = database.ask(sql, |row| {
        let text = |column| row.get::<String, _>(column);
        (text(0), text(1), row.get::<Option<String>, _>(2), row.get::<i32, _>(3))
    });
    let std = Some("1.155".to_owned());
    assert_eq!(told, [("3,5".into(), "0".into(), std, 4), ("4".into(), "0".into(), None, 1)]);
}

#[test]
fn the_clock_is_there_before_the_rows_and_made_up_for_where_it_was_not() {
    let hour = 3_600_000;
    let start = Calendar::in_zone("Europe/Paris").unwrap();
    let start = start.local("2026-10-25T00:30:00Z".parse().unwrap()).unwrap();
    let start = start.timestamp().as_millisecond();
    let frame = |at_ms| Frame { source: 1, at_ms, lying: 1, standing: 0, eat: 0, brush: 0 };
    let frames = vec![frame(start), frame(start + hour), frame(start + 2 * hour)];
    let herd = Herd { zone: "Europe/Paris".into(), frames };
    let told = |database: &Database| {
        let sql = "SELECT CONCAT_WS(' ', DATE(jour), heure, minutes)
                   FROM table_chevres_minute ORDER BY id";
        database.ask(sql, |row| row.get::<String, _>(0))
    };
    // Half past two comes twice on that day.
    let expected = ["2026-10-25 2 30", "2026-10-25 2 30", "2026-10-25 3 30"];

    let Some((database, state)) = database_of(&herd) else { return };
    assert_eq!(told(&database), expected);
    drop(state);

    // Committed by whoever never told the shape: whoever does makes up for it.
    let Some(database) = Database::new() else { return };
    let state = database.open();
    herd.commit(&state);
    assert_eq!(told(&database), [""; 0]);
    state.shape(&shape("Europe/Paris")).unwrap();
    assert_eq!(told(&database), expected);
    // And once more is no harm.
    state.shape(&shape("Europe/Paris")).unwrap();
    assert_eq!(told(&database), expected);
}
