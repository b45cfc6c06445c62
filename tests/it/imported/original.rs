//! The minutes of an existing ANIMOV database, on a real server.

use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::support::{ANIMOV, Site, failed, free_port, succeeded};

/// The original's table, as its users have it.
const TABLE: &str = "
    CREATE TABLE table_chevres_minute_serveur_v2 (
        id int(11) NOT NULL AUTO_INCREMENT PRIMARY KEY, timestamp bigint(20), source int(11),
        total int(11), couche int(11), debout int(11),
        max_total int(11), max_couche int(11), max_debout int(11),
        min_total int(11), min_couche int(11), min_debout int(11),
        std_total decimal(6,3), std_couche decimal(6,3), std_debout decimal(6,3),
        Q1_total decimal(6,3), Q1_couche decimal(6,3), Q1_debout decimal(6,3),
        Q2_total decimal(6,3), Q2_couche decimal(6,3), Q2_debout decimal(6,3),
        Q3_total decimal(6,3), Q3_couche decimal(6,3), Q3_debout decimal(6,3),
        mode_total text, mode_couche text, mode_debout text, nb_frames int(11),
        INDEX (timestamp), INDEX (source));";

/// Rows `first` to `last`: two sources, a minute each.
fn rows(first: u32, last: u32) -> String {
    format!(
        "INSERT INTO table_chevres_minute_serveur_v2
         SELECT seq, 1577836800 + seq DIV 2 * 60, 1 + seq % 2,
                seq % 1000, seq % 700, seq % 300, 9, 7, 5, 3, 2, 1,
                1.234, 0.5, 999.999, 1, 2.25, 3, 4.5, 5, 6.75, 7, 8, 9.125,
                '3, 5', CONCAT(seq % 7), NULL, 60
         FROM seq_{first}_to_{last};"
    )
}

/// A database on the server of the tests, dropped with this value.
struct Original {
    user: String,
    host: String,
    port: String,
    name: String,
}

impl Original {
    fn new() -> Option<Original> {
        let Ok(mysql) = std::env::var("ANIMOV_TEST_MYSQL") else {
            println!("SKIPPED: ANIMOV_TEST_MYSQL is not set");
            return None;
        };
        let (user, at) = mysql.trim_start_matches("mysql://").split_once('@').unwrap();
        let (host, port) = at.trim_end_matches('/').rsplit_once(':').unwrap();
        let name = format!("ANIMOV_it_{}_{}", std::process::id(), free_port());
        let (user, host, port) = (user.to_owned(), host.to_owned(), port.to_owned());
        let original = Original { user, host, port, name };
        original.sql(None, &format!("CREATE DATABASE {}", original.name));
        Some(original)
    }

    fn sql(&self, database: Option<&str>, statements: &str) -> String {
        let mut command = Command::new("mariadb");
        command.args(["--no-defaults", "-N", "-h", &self.host, "-P", &self.port, "-u", &self.user]);
        let ran = command.args(["-e", statements]).args(database).output().unwrap();
        succeeded(ran)
    }

    fn run(&self, statements: &str) -> String {
        self.sql(Some(&self.name), statements)
    }

    /// A user of that database who may only read.
    fn reader(&self) -> String {
        let reader = self.name.to_lowercase();
        self.run(&format!(
            "CREATE USER '{reader}'@'%' IDENTIFIED BY 'secret goat';
             GRANT SELECT ON {}.* TO '{reader}'@'%'",
            self.name
        ));
        reader
    }

    /// The configuration's section.
    fn section(&self, user: &str) -> String {
        let Original { host, port, name, .. } = self;
        format!(
            "[database]\ntype = \"mariadb\"\ndriver = \"pymysql\"\nusername = \"{user}\"\n\
             host = \"{host}\"\nport = {port}\ndatabase = \"{name}\"\nchunk_rows = 1000\n"
        )
    }
}

impl Drop for Original {
    fn drop(&mut self) {
        let name = &self.name;
        self.sql(
            None,
            &format!("DROP DATABASE {name}; DROP USER IF EXISTS '{}'@'%'", name.to_lowercase()),
        );
    }
}

/// Runs `animov` with the reader's password; it crashes at `crash_at`, if that is
/// named.
fn animov(site: &Site, arguments: &[&str], crash_at: Option<&str>) -> Output {
    let mut command = Command::new(ANIMOV);
    command.args(arguments).arg("--config").arg(&site.config).arg("--state").arg(site.state());
    command.env("RUST_LOG", "warn").env("ANIMOV_DATABASE_PASSWORD", "secret goat");
    if let Some(point) = crash_at {
        command.env("ANIMOV_CRASH_AT", point);
    }
    command.output().unwrap()
}

fn import(site: &Site) -> String {
    succeeded(animov(site, &["import", "database"], None))
}

#[test]
fn an_import_that_is_killed_goes_on_where_it_was_and_takes_what_came_since() {
    let Some(original) = Original::new() else { return };
    let reader = original.reader();
    original.run(TABLE);
    original.run(&rows(1, 3500));
    original.run(
        "UPDATE table_chevres_minute_serveur_v2 SET source = 0 WHERE id = 17;
         UPDATE table_chevres_minute_serveur_v2 SET timestamp = NULL WHERE id = 2517;
         UPDATE table_chevres_minute_serveur_v2 SET nb_frames = NULL, std_total = NULL,
             couche = NULL WHERE id = 3500;
         DELETE FROM table_chevres_minute_serveur_v2 WHERE id BETWEEN 100 AND 199",
    );
    let site = Site::new(&original.section(&reader));
    let checked = succeeded(animov(&site, &["check"], None));
    let sources = "3,400 minutes to import, 1 of source 0, 1,700 of source 1, 1,699 of source 2";
    assert!(checked.contains(&format!("an ANIMOV database, with {sources}")), "{checked}");

    let killed = animov(&site, &["import", "database"], Some("import-after-chunk:2"));
    assert!(!killed.status.success());
    let told = import(&site);
    assert!(told.contains(" rows=1400 kept=1399 refused=1 before=2000 "), "{told}");
    assert!(import(&site).contains(" rows=0 kept=0 refused=0 before=3400 "));
    original.run(&rows(3501, 3600));
    assert!(import(&site).contains(" rows=100 kept=100 refused=0 before=3400 "));

    let running = site.start_ready();
    let mut ids: Vec<i64> = [1, 2].iter().flat_map(|source| imported(&site, *source)).collect();
    ids.sort_unstable();
    let expected = (1..=3600).filter(|id| !(100..200).contains(id) && ![17, 2517].contains(id));
    assert_eq!(ids, expected.collect::<Vec<i64>>());
    let minute = |start: &str| {
        let path = format!("/v1/sources/1/imported-minutes?from={start}&order=oldest&limit=1");
        site.get(&path)["items"][0].clone()
    };
    let first = minute("2020-01-01T00:00:00Z");
    assert_eq!((&first["id"], &first["start"]), (&json!(2), &json!("2020-01-01T00:01:00Z")));
    assert_eq!((&first["frames"], &first["has_histogram"]), (&json!(60), &json!(false)));
    assert_eq!(
        first["metrics"]["total"],
        json!({"sum": 2, "min": 3, "max": 9, "mean": 2.0 / 60.0, "std": 1.234, "q1": 1.0,
               "median": 4.5, "q3": 7.0, "modes": "3, 5"})
    );
    assert_eq!(
        first["metrics"]["standing"],
        json!({"sum": 2, "min": 1, "max": 5, "mean": 2.0 / 60.0, "std": 999.999, "q1": 3.0,
               "median": 6.75, "q3": 9.125, "modes": null})
    );
    let bare = minute("2020-01-02T05:10:00Z");
    assert_eq!((&bare["id"], &bare["frames"]), (&json!(3500), &Value::Null));
    assert_eq!(bare["metrics"]["lying"]["sum"], Value::Null);
    assert_eq!(bare["metrics"]["total"]["std"], Value::Null);
    running.terminate();

    // What was corrected there is only seen by reading again.
    original.run("UPDATE table_chevres_minute_serveur_v2 SET max_total = 11 WHERE id = 2");
    let told = succeeded(animov(&site, &["import", "database", "--again"], None));
    assert!(told.contains(" rows=3500 kept=3498 refused=2 before=0 "), "{told}");
    let running = site.start_ready();
    let path = "/v1/sources/1/imported-minutes?order=oldest&limit=1";
    assert_eq!(site.get(path)["items"][0]["metrics"]["total"]["max"], 11);
    assert_eq!(imported(&site, 1).len() + imported(&site, 2).len(), 3498);
    running.terminate();
    succeeded(site.animov(&["audit"]));
}

/// The keys of all minutes of a source.
fn imported(site: &Site, source: u32) -> Vec<i64> {
    let (mut ids, mut cursor) = (Vec::new(), String::new());
    loop {
        let path = format!("/v1/sources/{source}/imported-minutes?limit=700{cursor}");
        let page = site.get(&path);
        ids.extend(
            page["items"].as_array().unwrap().iter().map(|item| item["id"].as_i64().unwrap()),
        );
        let Some(next) = page["next_cursor"].as_str() else { return ids };
        cursor = format!("&cursor={next}");
    }
}

#[test]
fn what_is_no_such_database_is_refused_with_what_to_do() {
    let Some(original) = Original::new() else { return };
    let reader = original.reader();
    let site = Site::new(&original.section(&reader));
    let refused = || failed(&animov(&site, &["import", "database"], None));
    let told = refused();
    assert!(told.contains("no table table_chevres_minute_serveur_v2"), "{told}");
    original.run(TABLE);
    assert!(import(&site).contains(" rows=0 kept=0 refused=0 before=0 "), "an empty one is one");
    original.run(
        "ALTER TABLE table_chevres_minute_serveur_v2 DROP COLUMN Q2_couche, DROP COLUMN nb_frames",
    );
    let told = refused();
    assert!(told.contains("has no nb_frames, Q2_couche"), "{told}");
    for own in [
        "RENAME TABLE table_chevres_minute_serveur_v2 TO other;
         CREATE VIEW table_chevres_minute_serveur_v2 AS SELECT * FROM other",
        "DROP VIEW table_chevres_minute_serveur_v2; CREATE TABLE window_metrics (x INT)",
    ] {
        original.run(own);
        let told = refused();
        assert!(told.contains("this program's own tables"), "{told}");
    }
    let checked = animov(&site, &["check"], None);
    assert_eq!(checked.status.code(), Some(3));

    site.configure(&original.section("nobody"));
    let told = refused();
    assert!(
        told.contains("database.username") && told.contains("ANIMOV_DATABASE_PASSWORD"),
        "{told}"
    );
    assert!(!told.contains("secret goat"), "{told}");
    site.configure("");
    let told = refused();
    assert!(told.contains("database.host"), "{told}");
}
