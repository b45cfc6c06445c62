//! The account for people who read: what it sees, and what it does not.

use sqlx::Row;

use crate::mysql::animov::database_of;
use crate::mysql::animov::herd::{Frame, Herd};
use crate::mysql::database::Server;

const GRANTS: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../sql/animov/reader.sql"));

/// The account that the file gives its rights; gone at the end.
struct Account {
    root: Server,
    reader: Server,
}

impl Account {
    fn new(root: &Server, database: &str) -> Account {
        let user = format!("reader_{}", std::process::id());
        let make =
            format!("DROP USER IF EXISTS {user}; CREATE USER {user} IDENTIFIED BY 'hay'; {GRANTS}");
        root.run(
            None,
            &make.replace("animov_reader", &user).replace("animov.", &format!("{database}.")),
        );
        let reader = Server { user, password: Some("hay".into()), ..root.clone() };
        Account { root: root.clone(), reader }
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        self.root.run(None, &format!("DROP USER IF EXISTS {}", self.reader.user));
    }
}

const SEEN: [&str; 12] = [
    "ResultatsConsolides",
    "final",
    "final_2",
    "table_chevres_heures",
    "table_chevres_minute",
    "table_chevres_minute_serveur_v2",
    "vue_chevre_derniere_heure_last",
    "vue_chevre_derniere_jour_last",
    "vue_chevres_derniere_minute",
    "vue_chevres_derniere_minute_v2",
    "vue_chevres_serier_heure",
    "vue_chevres_serier_jour",
];

#[test]
fn an_account_that_reads_sees_the_originals_tables_and_writes_nothing() {
    let frame =
        Frame { source: 1, at_ms: 1_772_366_400_000, lying: 2, standing: 1, eat: 0, brush: 0 };
    let Some((database, _state)) = database_of(&Herd { zone: "UTC".into(), frames: vec![frame] })
    else {
        return;
    };
    database.run(
        "INSERT INTO headcounts (source, number, quarter, wall, lying, standing, nth, file)
         VALUES (1, 1, 0, '1970-01-01', 3, 4, 0, 1), (1, 2, 0, '1970-01-01', 3, 4, 0, 1)",
    );
    let account = Account::new(&database.server, &database.name);
    let name = Some(&*database.name);
    let ask = |sql: &str| account.reader.ask(name, sql, |row| row.get_unchecked::<String, _>(0));

    let mut tables = ask("SHOW TABLES");
    tables.sort();
    assert_eq!(tables, SEEN, "and nothing else is even listed");
    let now = "SET SESSION timestamp = 1772366430";
    for table in SEEN {
        let rows = ask(&format!(
            "{now}; CALL ConsoliderResultatsEcartType();
                                 SELECT CAST(COUNT(*) AS CHAR) FROM {table}"
        ));
        assert_eq!(rows.last().map(String::as_str), Some("1"), "{table}");
        ask(&format!("SHOW CREATE TABLE {table}"));
    }
    for posture in ["Total", "Debout", "Couche"] {
        let sql = format!(
            "{now}; CALL CalculerEcartTypeHeure{posture}();
                           SELECT CAST(COUNT(*) AS CHAR) FROM ResultatsEcartType{posture}"
        );
        assert_eq!(ask(&sql).last().map(String::as_str), Some("1"), "{posture}");
    }

    for table in SEEN {
        for sql in [
            format!("DELETE FROM {table}"),
            format!("UPDATE {table} SET source = 9"),
            format!("INSERT INTO {table} (source) VALUES (9)"),
            format!("DROP TABLE {table}"),
            format!("DROP VIEW {table}"),
            format!("ALTER TABLE {table} ADD COLUMN x INT"),
        ] {
            assert!(account.refused(name, &sql), "{sql}");
        }
    }
    // Everything else in the database, whatever it is; a table of accounts too.
    database.run("CREATE TABLE accounts (password_hash TEXT)");
    let all = database.ask(
        "SELECT CAST(table_name AS CHAR) FROM information_schema.tables WHERE table_schema = DATABASE()",
        |row| row.get::<String, _>(0),
    );
    let hidden: Vec<&String> = all.iter().filter(|table| !SEEN.contains(&table.as_str())).collect();
    assert!(hidden.iter().any(|table| *table == "accounts") && 10 < hidden.len());
    for table in hidden {
        assert!(account.refused(name, &format!("SELECT * FROM {table}")), "{table}");
    }
    for sql in [
        "CALL hour_of_total(0)",
        "CREATE TABLE mine (x INT)",
        "CREATE VIEW mine AS SELECT * FROM windows",
        "CREATE PROCEDURE mine() SELECT * FROM windows",
        "DROP PROCEDURE ConsoliderResultatsEcartType",
        "GRANT SELECT ON windows TO CURRENT_USER()",
    ] {
        assert!(account.refused(name, sql), "{sql}");
    }
    let rows = database.ask("SELECT COUNT(*) FROM ResultatsConsolides", |row| row.get::<i64, _>(0));
    assert_eq!(rows, [1], "what it may call has filled it, and nothing emptied it");
}

impl Account {
    fn refused(&self, database: Option<&str>, sql: &str) -> bool {
        match self.reader.try_ask(database, sql, |_| ()) {
            Ok(_) => false,
            // Denied, or not even told that it is there.
            Err(error) => {
                let told = error.to_string();
                assert!(told.contains("denied") || told.contains("not allowed"), "{sql}: {told}");
                true
            }
        }
    }
}
