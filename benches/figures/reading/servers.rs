//! The servers that are compared, and who asks them.

use std::io;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long each measurement asks, seconds.
const SECONDS: u32 = 8;

/// A process that ends with this value.
pub(super) struct Running(Child);

impl Running {
    pub(super) fn start(command: &mut Command) -> io::Result<Running> {
        command.stdin(Stdio::null()).spawn().map(Running)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // What a server has started ends with it, if it is asked and not killed.
        let id = nix::unistd::Pid::from_raw(i32::try_from(self.0.id()).unwrap_or(0));
        _ = nix::sys::signal::kill(id, nix::sys::signal::Signal::SIGTERM);
        _ = self.0.wait();
    }
}

pub(super) fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// Waits until `url` answers well.
pub(super) fn wait_for(url: &str, patience: Duration) -> io::Result<()> {
    let begun = Instant::now();
    while begun.elapsed() < patience {
        if ureq::get(url).call().is_ok() {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    Err(io::Error::other(format!("{url} does not answer")))
}

/// Saves what `url` answers; its bytes.
pub(super) fn save(url: &str, file: &Path) -> io::Result<usize> {
    let mut answer = ureq::get(url).call().map_err(io::Error::other)?;
    let body = answer.body_mut().read_to_vec().map_err(io::Error::other)?;
    std::fs::write(file, &body)?;
    Ok(body.len())
}

/// nginx over the files in `www`, as it is usually set up for static files.
pub(super) fn nginx(www: &Path) -> io::Result<(String, Running)> {
    let port = free_port()?;
    let folder = www.display();
    let config = www.join("nginx.conf");
    // Workers of a nginx that root starts may read the folder too; for others it says nothing.
    std::fs::write(
        &config,
        format!(
            "user root; daemon off; worker_processes auto; pid {folder}/nginx.pid; error_log {folder}/error.log;\n\
             events {{ worker_connections 512; }}\n\
             http {{ access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000000;\n\
             default_type application/json; client_body_temp_path {folder}/body;\n\
             proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;\n\
             uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;\n\
             server {{ listen 127.0.0.1:{port}; root {folder}; }} }}\n"
        ),
    )?;
    let mut command = Command::new("nginx");
    let nginx = Running::start(command.arg("-c").arg(config).stderr(Stdio::null()))?;
    let url = format!("http://127.0.0.1:{port}");
    wait_for(&format!("{url}/month.json"), Duration::from_secs(10))?;
    Ok((url, nginx))
}

/// The original's way over `rows`, in a table of the original's shape in `database`.
pub(super) fn flask(
    python: &Path,
    rows: &Path,
    mysql: &str,
    database: &str,
) -> io::Result<(String, Running)> {
    let (host, port, user) = parts(mysql)?;
    let app = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/figures/reading");
    let listen = free_port()?;
    let with_database = |command: &mut Command| {
        command
            .env("DB_HOST", &host)
            .env("DB_PORT", &port)
            .env("DB_USER", &user)
            .env("DB_NAME", database)
            .stdout(Stdio::null());
    };
    let mut fill = Command::new(python);
    with_database(fill.arg(app.join("original.py")).arg(rows));
    super::done(&mut fill)?;
    let mut serve = Command::new(python.with_file_name("gunicorn"));
    with_database(&mut serve);
    serve
        .args(["--workers", "2", "--threads", "2", "--log-level", "error", "--bind"])
        .arg(format!("127.0.0.1:{listen}"))
        .args(["--chdir", &app.display().to_string(), "original:app"]);
    let serving = Running::start(&mut serve)?;
    let url = format!("http://127.0.0.1:{listen}");
    wait_for(&format!("{url}/minutes?source=1&from=0&to=1"), Duration::from_secs(30))?;
    Ok((url, serving))
}

/// Host, port and user of `mysql://user@host:port`.
fn parts(mysql: &str) -> io::Result<(String, String, String)> {
    let split = || {
        let (user, at) = mysql.trim_start_matches("mysql://").split_once('@')?;
        let (host, port) = at.trim_end_matches('/').rsplit_once(':')?;
        Some((host.to_owned(), port.to_owned(), user.to_owned()))
    };
    split().ok_or_else(|| io::Error::other("ANIMOV_TEST_MYSQL is not mysql://user@host:port"))
}

pub(super) fn sql(mysql: &str, statement: &str) -> io::Result<()> {
    let (host, port, user) = parts(mysql)?;
    super::done(Command::new("mariadb").args([
        "--no-defaults",
        "-h",
        &host,
        "-P",
        &port,
        "-u",
        &user,
        "-e",
        statement,
    ]))
}

/// What is asked, over so many connections.
#[derive(Clone)]
pub(super) struct Asked {
    /// In turn.
    pub(super) paths: Vec<String>,
    pub(super) connections: u32,
}

/// What was answered.
#[derive(Clone, Copy)]
pub(super) struct Load {
    pub(super) a_second: f64,
    pub(super) p99_ms: f64,
}

/// Asks for some seconds, by one thread of wrk.
pub(super) fn wrk(url: &str, asked: &Asked) -> io::Result<Load> {
    let paths: Vec<String> = asked.paths.iter().map(|path| format!("{path:?}")).collect();
    let script = tempfile::NamedTempFile::with_suffix(".lua")?;
    std::fs::write(
        script.path(),
        format!(
            "local paths, at = {{{}}}, 0\n\
             function request() at = at % #paths + 1; return wrk.format('GET', paths[at]) end\n\
             function done(summary, latency, requests)\n\
             local bad = summary.errors.status + summary.errors.connect + summary.errors.read\n\
             + summary.errors.timeout\n\
             io.write(string.format('FIGURES %f %f %d\\n',\n\
             summary.requests / summary.duration * 1e6, latency:percentile(99) / 1000, bad)) end\n",
            paths.join(", ")
        ),
    )?;
    let output = Command::new("wrk")
        .args(["--threads", "1", "--connections", &asked.connections.to_string()])
        .args(["--duration", &format!("{SECONDS}s"), "--timeout", "10s", "--script"])
        .arg(script.path())
        .arg(url)
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let told = || {
        let line = text.lines().find_map(|line| line.strip_prefix("FIGURES "))?;
        let [a_second, p99_ms, bad] = line.split(' ').collect::<Vec<_>>()[..] else { return None };
        let load = Load { a_second: a_second.parse().ok()?, p99_ms: p99_ms.parse().ok()? };
        Some((load, bad.parse::<u64>().ok()?))
    };
    match told() {
        Some((load, 0)) => Ok(load),
        _ => Err(io::Error::other(format!("wrk at {url} {:?}: {text}", asked.paths))),
    }
}
