//! Names, columns, their order and their types: the original's.

use sqlx::Row;

use crate::mysql::database::Database;

/// What the original's documentation says of the minute table.
fn minute_table() -> Vec<(String, &'static str)> {
    let mut columns = vec![
        ("id".to_owned(), "int(11)"),
        ("timestamp".to_owned(), "bigint(20)"),
        ("source".to_owned(), "int(11)"),
    ];
    let mut add = |prefix: &str, kind| columns.extend(each(prefix, kind));
    add("", "int(11)");
    add("max_", "int(11)");
    add("min_", "int(11)");
    for prefix in ["std_", "Q1_", "Q2_", "Q3_"] {
        add(prefix, "decimal(6,3)");
    }
    add("mode_", "text");
    columns.push(("nb_frames".to_owned(), "int(11)"));
    columns
}

/// A column of each posture.
fn each(prefix: &str, kind: &'static str) -> [(String, &'static str); 3] {
    ["total", "couche", "debout"].map(|posture| (format!("{prefix}{posture}"), kind))
}

fn named(columns: &[(&str, &'static str)]) -> Vec<(String, &'static str)> {
    columns.iter().map(|(name, kind)| ((*name).to_owned(), *kind)).collect()
}

fn consolidated() -> Vec<(String, &'static str)> {
    let mut columns = named(&[("source", "int")]);
    for posture in ["total", "debout", "couche"] {
        let column = |what: &str| format!("{what}_{posture}");
        columns.push((column("moyenne"), "decimal(10,6)"));
        columns.push((column("max"), "decimal(10,0)"));
        columns.push((column("min"), "decimal(10,0)"));
        columns.push((column("ecart_type"), "decimal(10,6)"));
    }
    columns
}

fn behaviours(moment: &[(&str, &'static str)]) -> Vec<(String, &'static str)> {
    let classes = ["brush", "drink", "eat", "class_0", "class_1"].map(|class| (class, "double"));
    named(&[moment, &classes].concat())
}

/// Every table and view of the original with its columns, as it is documented: a type
/// without a width has none there.
fn original() -> Vec<(&'static str, Vec<(String, &'static str)>)> {
    let moment = named(&[("timestamp", "bigint"), ("source", "int")]);
    let series = named(&[("timestamp", "varchar"), ("source", "int")]);
    let last_minute = [each("", "decimal(36,4)"), each("std_", "double")]
        .into_iter()
        .chain([each("max_", "decimal(11,0)"), each("min_", "decimal(11,0)")]);
    let day = |kind| [each("", kind), each("max_", "int"), each("min_", "int")].concat();
    let frames = |kind| vec![("nb_frames".to_owned(), kind)];
    vec![
        ("table_chevres_minute_serveur_v2", minute_table()),
        (
            "table_chevres_minute",
            behaviours(&[
                ("id", "bigint"),
                ("jour", "datetime"),
                ("source", "bigint"),
                ("minutes", "bigint"),
                ("heure", "bigint"),
            ]),
        ),
        (
            "table_chevres_heures",
            behaviours(&[
                ("id", "bigint"),
                ("jour", "datetime"),
                ("source", "bigint"),
                ("heure", "bigint"),
            ]),
        ),
        ("ResultatsConsolides", consolidated()),
        ("vue_chevres_derniere_minute_v2", minute_table()),
        ("vue_chevres_derniere_minute", moment.into_iter().chain(last_minute.flatten()).collect()),
        ("vue_chevres_serier_heure", minute_table()),
        ("vue_chevre_derniere_heure_last", minute_table()),
        (
            "vue_chevres_serier_jour",
            [series.clone(), day("decimal(14,4)"), frames("decimal(14,4)")].concat(),
        ),
        ("vue_chevre_derniere_jour_last", [series, day("decimal"), frames("decimal")].concat()),
    ]
}

#[test]
fn names_columns_their_order_and_their_types_are_the_originals() {
    let Some(database) = Database::new() else { return };
    drop(database.open());
    // MySQL 8 tells no display widths of whole numbers.
    let has_widths =
        database.ask("SELECT VERSION()", |row| row.get::<String, _>(0))[0].contains("MariaDB");
    for (table, columns) in original() {
        let sql = format!(
            "SELECT CAST(column_name AS CHAR), CAST(column_type AS CHAR), CAST(data_type AS CHAR)
             FROM information_schema.columns
             WHERE table_schema = DATABASE() AND BINARY table_name = '{table}'
             ORDER BY ordinal_position"
        );
        let found = database.ask(&sql, |row| {
            let text = |column| row.get::<String, _>(column);
            (text(0), text(1), text(2))
        });
        let names = |(name, ..): &(String, String, String)| name.clone();
        assert_eq!(
            found.iter().map(names).collect::<Vec<_>>(),
            columns.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>(),
            "{table}"
        );
        for ((name, whole, short), (_, expected)) in found.iter().zip(&columns) {
            let is_int = expected.starts_with("int") || expected.starts_with("bigint");
            let expected = match expected.split_once('(') {
                Some((short, _)) if is_int && !has_widths => short,
                _ => expected,
            };
            let is_same =
                if expected.contains('(') { whole == expected } else { short == expected };
            assert!(is_same, "{table}.{name} is {whole}, not {expected}");
        }
    }
}

#[test]
fn the_procedures_are_there_under_their_names() {
    let Some(database) = Database::new() else { return };
    drop(database.open());
    let sql = "SELECT CAST(routine_name AS CHAR) FROM information_schema.routines
               WHERE routine_schema = DATABASE() AND routine_type = 'PROCEDURE' ORDER BY 1";
    let names = database.ask(sql, |row| row.get::<String, _>(0));
    for procedure in [
        "CalculerEcartTypeHeureCouche",
        "CalculerEcartTypeHeureDebout",
        "CalculerEcartTypeHeureTotal",
        "ConsoliderResultatsEcartType",
    ] {
        assert!(names.iter().any(|name| name == procedure), "{procedure} of {names:?}");
    }
}
