//! Servers that say no, or nothing.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use schemas::commit::{StateStore, StoreError};
use schemas::log::{Offset, Partition};
use sinks::config::{MySqlConfig, MySqlPassword};
use sinks::state::mysql::MySqlState;

use crate::commits::log;
use crate::mysql::database::Database;

fn refused(config: &MySqlConfig, password: Option<&MySqlPassword>) -> StoreError {
    MySqlState::open(config, password).err().unwrap()
}

/// The error and its causes, as a person is told.
pub(super) fn told(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// A user of its own, that may do nothing yet; gone at the end.
struct User<'d> {
    database: &'d Database,
    name: String,
}

impl<'d> User<'d> {
    fn new(database: &'d Database, name: &str) -> User<'d> {
        let name = format!("{name}_{}", std::process::id());
        database.run(&format!(
            "DROP USER IF EXISTS '{name}'@'%'; CREATE USER '{name}'@'%' IDENTIFIED BY 'hunter2'"
        ));
        User { database, name }
    }

    fn config(&self) -> MySqlConfig {
        let mut config = self.database.config();
        config.url.user.clone_from(&self.name);
        config
    }
}

impl Drop for User<'_> {
    fn drop(&mut self) {
        self.database.run(&format!("DROP USER '{}'@'%'", self.name));
    }
}

#[test]
fn what_somebody_has_to_change_is_not_tried_again() {
    let Some(database) = Database::new() else { return };
    let user = User::new(&database, "refused");
    let right = MySqlPassword::from("hunter2".to_owned());
    let wrong = MySqlPassword::from("hunter3".to_owned());

    let mut nowhere = database.config();
    nowhere.url.database = "animov_nowhere".into();
    for (error, hint) in [
        (refused(&user.config(), Some(&wrong)), "ANIMOV_MYSQL_PASSWORD"),
        (refused(&user.config(), None), "ANIMOV_MYSQL_PASSWORD"),
        (refused(&user.config(), Some(&right)), "GRANT ALL ON"),
        (refused(&nowhere, database.password().as_ref()), "CREATE DATABASE animov_nowhere"),
    ] {
        assert!(matches!(error, StoreError::Refused { .. }), "{error}");
        assert!(!error.may_succeed_later());
        let told = told(&error);
        assert!(told.contains(hint), "{told}");
        let place = format!("@{}:{}/", database.server.host, database.server.port);
        assert!(told.contains(&place) && !told.contains("hunter"), "{told}");
    }

    // It may read, but not write.
    drop(database.open());
    database.run(&format!("GRANT SELECT ON {}.* TO '{}'@'%'", database.name, user.name));
    let reading = MySqlState::open_read_only(&user.config(), Some(&right)).unwrap();
    assert_eq!(reading.sources().unwrap(), []);
    let writing = MySqlState::open(&user.config(), Some(&right)).unwrap();
    let error = writing.claim(&log(), Partition(0), Offset(0)).unwrap_err();
    assert!(matches!(error, StoreError::Refused { .. }), "{error}");
    assert!(told(&error).contains("GRANT ALL ON"), "{}", told(&error));

    database.run(&format!("GRANT ALL ON {}.* TO '{}'@'%'", database.name, user.name));
    let state = MySqlState::open(&user.config(), Some(&right)).unwrap();
    state.claim(&log(), Partition(0), Offset(0)).unwrap();
}

#[test]
fn a_server_that_is_not_there_or_says_nothing_may_answer_later() {
    let Some(database) = Database::new() else { return };
    let mut config = MySqlConfig { connect_timeout: Duration::from_secs(1), ..database.config() };
    config.url.host = "127.0.0.1".into();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    config.url.port = silent.local_addr().unwrap().port();
    let began = Instant::now();
    let says_nothing = refused(&config, None);
    assert!(began.elapsed() < Duration::from_secs(10));
    drop(silent);
    let is_not_there = refused(&config, None);
    for error in [says_nothing, is_not_there] {
        assert!(matches!(error, StoreError::Unreachable { .. }), "{error}");
        assert!(error.may_succeed_later());
    }
}

#[test]
fn more_readers_than_connections_wait_for_one_another() {
    let Some(database) = Database::new() else { return };
    let config = MySqlConfig { readers_max: std::num::NonZeroU32::MIN, ..database.config() };
    let state = MySqlState::open(&config, database.password().as_ref()).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| (0..20).for_each(|_| assert_eq!(state.sources().unwrap(), [])));
        }
    });
    let count = format!(
        "SELECT COUNT(*) FROM information_schema.processlist WHERE db = '{}'",
        database.name
    );
    let connections = database.server.ask(None, &count, |row| sqlx::Row::get::<i64, _>(&row, 0));
    assert_eq!(connections, [2], "one reads, one writes");
}

#[test]
fn a_connection_that_the_server_closed_is_made_again() {
    let Some(database) = Database::new() else { return };
    let state = database.open();
    state.claim(&log(), Partition(0), Offset(0)).unwrap();
    state.sources().unwrap();
    let kill =
        format!("SELECT id FROM information_schema.processlist WHERE db = '{}'", database.name);
    let ids = database.server.ask(None, &kill, |row| sqlx::Row::get::<i64, _>(&row, 0));
    assert_eq!(ids.len(), 2);
    ids.iter().for_each(|id| database.server.run(None, &format!("KILL {id}")));
    assert_eq!(state.sources().unwrap(), []);
    state.commit(&crate::commits::nth(0, 3)).unwrap();
}
