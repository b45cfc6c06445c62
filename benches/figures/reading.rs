//! What the API answers from the tables, while frames come in: against nginx giving
//! the same bytes from a file, and against the original's way, Flask with SQL on read.

mod servers;

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::measure::median;
use crate::{ANIMOV, Figure, folder, say};
use servers::{Asked, Running, free_port, wrk};

const RUNS: usize = 3;

/// Cameras, and days of their history.
const SOURCES: u32 = 4;
const DAYS: u32 = 30;

const PATIENCE: Duration = Duration::from_secs(60);

/// The minutes of one day, about a megabyte.
const SERIES: &str =
    "/v1/sources/1/windows/1m?from=2026-03-15&to=2026-03-16&order=oldest&limit=1500";

/// The days of a month of one camera.
fn roll_up(source: u32) -> String {
    format!("/v1/sources/{source}/windows/1d?from=2026-03-01&to=2026-04-01&order=oldest&limit=31")
}

pub(crate) fn figures() -> io::Result<Vec<Figure>> {
    let there = |program: &str| Command::new(program).arg("-v").output().is_ok();
    let python = std::env::var_os("ANIMOV_BENCH_PYTHON").map(PathBuf::from);
    let (Some(python), true, true) = (python, there("nginx"), there("wrk")) else {
        say("reading: left out, no nginx, wrk or Python with Flask (run it through `make bench`)")?;
        return Ok(Vec::new());
    };
    let folder = folder()?;
    let file = folder.path().join("herd.ndjson");
    simulated(&file)?;
    let mut figures = measured(&Site::embedded(folder.path(), &file)?, folder.path())?;
    match std::env::var("ANIMOV_TEST_MYSQL") {
        Ok(mysql) => {
            let site = Site::on_server(folder.path(), &file, &mysql)?;
            figures.extend(measured(&site, folder.path())?);
            figures.extend(original(&site, folder.path(), &python, &mysql)?);
            site.drop_database(&mysql)?;
        }
        Err(_) => say("reading: MariaDB and the original's way left out, no ANIMOV_TEST_MYSQL")?,
    }
    Ok(figures)
}

/// Counts of a month, a frame each 10 s.
fn simulated(file: &Path) -> io::Result<()> {
    say(&format!("simulating {SOURCES} cameras for {DAYS} days"))?;
    done(
        Command::new(ANIMOV)
            .args(["simulate", "--counts-only", "--every", "10s", "--format", "ndjson"])
            .args(["--sources", &SOURCES.to_string(), "--for", &format!("{DAYS}days")])
            .args(["--start", "2026-03-01T00:00:00Z"])
            .stdout(File::create(file)?)
            .stderr(Stdio::null()),
    )
}

/// Tables with the month in them.
struct Site {
    name: &'static str,
    config: PathBuf,
    state: PathBuf,
}

impl Site {
    fn embedded(folder: &Path, file: &Path) -> io::Result<Site> {
        Site::filled("SQLite", folder, file, "")
    }

    fn on_server(folder: &Path, file: &Path, mysql: &str) -> io::Result<Site> {
        servers::sql(mysql, &format!("CREATE DATABASE {}", database()))?;
        let at = mysql.trim_end_matches('/');
        let state =
            format!("[state]\nkind = \"mysql\"\n[state.mysql]\nurl = \"{at}/{}\"\n", database());
        Site::filled("MariaDB", folder, file, &state)
    }

    fn filled(name: &'static str, folder: &Path, file: &Path, state: &str) -> io::Result<Site> {
        say(&format!("filling the tables in {name}"))?;
        let site = Site {
            name,
            config: folder.join(format!("{name}.toml")),
            state: folder.join(format!("{name}-state")),
        };
        std::fs::write(&site.config, state)?;
        if !state.is_empty() {
            done(site.animov("migrate").stdout(Stdio::null()))?;
        }
        done(site.animov("import").arg("counts").arg(file).stdout(Stdio::null()))?;
        Ok(site)
    }

    fn animov(&self, command: &str) -> Command {
        let mut animov = Command::new(ANIMOV);
        animov.arg(command);
        // By the environment, because `import` has a word of its own before its options.
        let place = [("ANIMOV_CONFIG", &self.config), ("ANIMOV_STATE", &self.state)];
        animov.envs(place).env("RUST_LOG", "warn").stderr(Stdio::null());
        animov
    }

    /// The site at work: a frame a second of each camera comes in.
    fn running(&self) -> io::Result<(String, [Running; 2])> {
        let url = format!("http://127.0.0.1:{}", free_port()?);
        let bind = url.trim_start_matches("http://");
        let site = Running::start(self.animov("run").args(["--bind", bind]).stdout(Stdio::null()))?;
        servers::wait_for(&format!("{url}/readyz"), PATIENCE)?;
        let cameras = Running::start(
            Command::new(ANIMOV)
                .args(["simulate", "--counts-only", "--speed", "1", "--for", "1h", "--seed", "2"])
                .args(["--sources", &SOURCES.to_string(), "--url", &url])
                .stdout(Stdio::null())
                .stderr(Stdio::null()),
        )?;
        Ok((url, [site, cameras]))
    }

    fn drop_database(&self, mysql: &str) -> io::Result<()> {
        servers::sql(mysql, &format!("DROP DATABASE {}", database()))
    }
}

/// This run's own.
fn database() -> String {
    format!("animov_reading_{}", std::process::id())
}

/// The series and the roll-up, ours and nginx's in turn.
fn measured(site: &Site, folder: &Path) -> io::Result<Vec<Figure>> {
    let (url, _processes) = site.running()?;
    let www = folder.join(format!("{}-www", site.name));
    std::fs::create_dir_all(&www)?;
    let size = servers::save(&format!("{url}{SERIES}"), &www.join("series.json"))?;
    servers::save(&format!("{url}{}", roll_up(1)), &www.join("month.json"))?;
    let (nginx_url, _nginx) = servers::nginx(&www)?;

    let ours = |asked: &Asked| wrk(&url, asked);
    let theirs = |asked: &Asked| wrk(&nginx_url, asked);
    let series = Asked { paths: vec![SERIES.to_owned()], connections: 16 };
    let months = Asked { paths: (1..=SOURCES).map(roll_up).collect(), connections: 4 };
    let static_series = Asked { paths: vec!["/series.json".to_owned()], ..series.clone() };
    let static_months = Asked { paths: vec!["/month.json".to_owned()], ..months.clone() };
    let mut rates = Vec::new();
    let mut delays = Vec::new();
    for _ in 0..RUNS {
        rates.push((ours(&series)?.a_second, theirs(&static_series)?.a_second));
        delays.push((ours(&months)?, theirs(&static_months)?));
    }
    let middle = |of: fn(&(f64, f64)) -> f64| median(rates.iter().map(of).collect());
    let p99 = median(delays.iter().map(|(ours, _)| ours.p99_ms).collect());
    let nginx_p99 = median(delays.iter().map(|(_, nginx)| nginx.p99_ms).collect());
    let a_second = median(delays.iter().map(|(ours, _)| ours.a_second).collect());
    let nginx_a_second = median(delays.iter().map(|(_, nginx)| nginx.a_second).collect());
    let name = site.name;
    Ok(vec![
        Figure {
            what: format!("{name}: the minutes of a day, {size} bytes, while frames come in"),
            ours: format!("{:.0} requests/s", middle(|(ours, _)| *ours)),
            reference: format!("{:.0} requests/s (nginx, a file)", middle(|(_, nginx)| *nginx)),
            ratio: middle(|(ours, nginx)| ours / nginx),
            goal: "at least 0.5",
        },
        Figure {
            what: format!(
                "{name}: days of a month of {SOURCES} cameras in turn, while frames come"
            ),
            ours: format!("p99 {p99:.2} ms at {a_second:.0} requests/s"),
            reference: format!(
                "p99 {nginx_p99:.2} ms at {nginx_a_second:.0} requests/s (nginx, a file)"
            ),
            ratio: a_second / nginx_a_second,
            goal: "none as a ratio; p99 below 5 ms",
        },
    ])
}

/// The same two questions, put to the original's way.
fn original(site: &Site, folder: &Path, python: &Path, mysql: &str) -> io::Result<Vec<Figure>> {
    say("filling the original's table")?;
    let rows = folder.join("minutes.ndjson");
    done(
        site.animov("export")
            .args(["windows", "--size", "1m", "--format", "ndjson"])
            .stdout(File::create(&rows)?),
    )?;
    let (url, _processes) = site.running()?;
    let (flask_url, _flask) = servers::flask(python, &rows, mysql, &database())?;
    let day = "from=1773532800&to=1773619200";
    let minutes = Asked { paths: vec![SERIES.to_owned()], connections: 4 };
    let months = Asked { paths: (1..=SOURCES).map(roll_up).collect(), connections: 4 };
    let of_month = |source| format!("/jours?source={source}&from=1772323200&to=1774915200");
    let their_minutes =
        Asked { paths: vec![format!("/minutes?source=1&{day}")], ..minutes.clone() };
    let their_months = Asked { paths: (1..=SOURCES).map(of_month).collect(), ..months.clone() };
    let mut figures = Vec::new();
    for (what, asked, theirs) in [
        ("the minutes of a day", &minutes, &their_minutes),
        ("days of a month", &months, &their_months),
    ] {
        let mut pairs = Vec::new();
        for _ in 0..RUNS {
            pairs.push((wrk(&url, asked)?, wrk(&flask_url, theirs)?));
        }
        let of =
            |of: fn(&(servers::Load, servers::Load)) -> f64| median(pairs.iter().map(of).collect());
        figures.push(Figure {
            what: format!("MariaDB: {what}, against the original's way"),
            ours: format!(
                "{:.0} requests/s, p99 {:.2} ms",
                of(|(ours, _)| ours.a_second),
                of(|(ours, _)| ours.p99_ms)
            ),
            reference: format!(
                "{:.1} requests/s, p99 {:.0} ms (Flask under gunicorn, SQL on read)",
                of(|(_, flask)| flask.a_second),
                of(|(_, flask)| flask.p99_ms)
            ),
            ratio: of(|(ours, flask)| ours.a_second / flask.a_second),
            goal: "none; the higher the better",
        });
    }
    Ok(figures)
}

/// Runs `command` to its end, which must be a good one.
fn done(command: &mut Command) -> io::Result<()> {
    let status = command.status()?;
    match status.success() {
        true => Ok(()),
        false => Err(io::Error::other(format!("{command:?} ended with {status}"))),
    }
}
