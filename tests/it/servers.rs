//! A topic and a database of a test's own, on the servers that the environment
//! names.

use std::process::Command;
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;

use crate::support::{PATIENCE, Site, free_port, succeeded, within};

/// How long a member of the group may be silent.
pub(crate) const SESSION: Duration = Duration::from_secs(3);

/// A topic and a database; the database is dropped with this value.
pub(crate) struct Servers {
    kafka: String,
    mysql: String,
    name: String,
}

impl Servers {
    /// `None`, with a word, where a server is not there.
    pub(crate) fn new() -> Option<Servers> {
        Some(Servers::with_kafka(named("ANIMOV_TEST_KAFKA")?, named("ANIMOV_TEST_MYSQL")?))
    }

    /// With a broker of the test's own at `kafka`.
    pub(crate) fn with_broker(kafka: &str) -> Option<Servers> {
        Some(Servers::with_kafka(kafka.to_owned(), named("ANIMOV_TEST_MYSQL")?))
    }

    fn with_kafka(kafka: String, mysql: String) -> Servers {
        let name = format!("animov_it_{}_{}", std::process::id(), free_port());
        let servers = Servers { kafka, mysql, name };
        servers.sql(&format!("CREATE DATABASE {}", servers.name));
        servers
    }

    /// The topic's name.
    pub(crate) fn topic(&self) -> &str {
        &self.name
    }

    /// The database's URL.
    pub(crate) fn database(&self) -> String {
        format!("{}/{}", self.mysql.trim_end_matches('/'), self.name)
    }

    /// The rows that `statement` gives in the database, columns by tabs.
    pub(crate) fn ask(&self, statement: &str) -> Vec<String> {
        let told = self.sql(&format!("USE {}; {statement}", self.name));
        told.lines().map(str::to_owned).collect()
    }

    fn sql(&self, statement: &str) -> String {
        let (user, at) = self.mysql.trim_start_matches("mysql://").split_once('@').unwrap();
        let (host, port) = at.trim_end_matches('/').rsplit_once(':').unwrap();
        let ran = Command::new("mariadb")
            .args([
                "--no-defaults",
                "-h",
                host,
                "-P",
                port,
                "-u",
                user,
                "-N",
                "-r",
                "-e",
                statement,
            ])
            .output()
            .unwrap();
        succeeded(ran)
    }

    /// A site on them, whose topic is still to be made.
    pub(crate) fn site(&self, partitions: u32) -> Site {
        Site::new(&self.settings(partitions))
    }

    /// What the configuration of such a site begins with.
    pub(crate) fn settings(&self, partitions: u32) -> String {
        let Servers { kafka, mysql, name } = self;
        let mysql = mysql.trim_end_matches('/');
        format!(
            "[site]\nzone = \"Europe/Paris\"\n\
             [log]\nkind = \"kafka\"\n\
             [log.kafka]\nbrokers = [\"{kafka}\"]\ntopic = \"{name}\"\ngroup = \"{name}\"\n\
             partitions = {partitions}\nreplication = 1\nsession_timeout = \"{}s\"\n\
             metadata_refresh = \"1s\"\n\
             [state]\nkind = \"mysql\"\n[state.mysql]\nurl = \"{mysql}/{name}\"\n\
             [pipeline]\ncommit_interval = \"50ms\"\n",
            SESSION.as_secs(),
        )
    }

    /// Deletes the topic of frames, and makes it again as `site` is configured.
    pub(crate) fn make_topic_again(&self, site: &Site) {
        let admin: AdminClient<DefaultClientContext> =
            ClientConfig::new().set("bootstrap.servers", &self.kafka).create().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let options = AdminOptions::new();
        let deleted = runtime.block_on(admin.delete_topics(&[self.topic()], &options));
        assert!(deleted.unwrap().iter().all(Result::is_ok));
        within(PATIENCE, "the topic to be gone and made again", || {
            let told = site.animov(&["migrate"]);
            let told = String::from_utf8_lossy(&told.stdout).into_owned();
            told.contains(&format!("made topic {} ", self.topic())).then_some(())
        });
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        self.sql(&format!("DROP DATABASE IF EXISTS {}", self.name));
    }
}

fn named(variable: &str) -> Option<String> {
    let value = std::env::var(variable).ok();
    if value.is_none() {
        println!("SKIPPED: {variable} names no server");
    }
    value
}
