//! A web server that does as it is told, also badly.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long an answer that never ends goes on at most.
const ENDLESS: Duration = Duration::from_secs(20);

/// What it answers.
#[derive(Clone)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// Waits before it answers.
    pub(crate) silent_for: Duration,
    /// Sends the body a byte at a time.
    pub(crate) drips: bool,
    /// Sends the body, and then something else without end or length.
    pub(crate) endless: bool,
}

impl Reply {
    pub(crate) fn status(status: u16) -> Reply {
        Reply {
            status,
            headers: Vec::new(),
            body: Vec::new(),
            silent_for: Duration::ZERO,
            drips: false,
            endless: false,
        }
    }

    pub(crate) fn page(body: &str) -> Reply {
        Reply { body: body.as_bytes().to_vec(), ..Reply::status(200) }
    }

    pub(crate) fn redirect(status: u16, location: &str) -> Reply {
        let headers = vec![("location".to_owned(), location.to_owned())];
        Reply { headers, ..Reply::status(status) }
    }
}

/// The server, which ends with the test.
pub(crate) struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    asked: Mutex<Vec<String>>,
    connections: AtomicUsize,
    stopped: AtomicBool,
}

impl Server {
    /// Answers each path with what `reply` says.
    pub(crate) fn start(reply: impl Fn(&str) -> Reply + Send + Sync + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::<Shared>::default();
        let (reply, of_server) = (Arc::new(reply), Arc::clone(&shared));
        let accepting = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if of_server.stopped.load(Ordering::SeqCst) {
                    break;
                }
                of_server.connections.fetch_add(1, Ordering::SeqCst);
                let (reply, shared) = (Arc::clone(&reply), Arc::clone(&of_server));
                // Who hangs up early is no fault of the server's.
                std::thread::spawn(move || drop(answer(&stream.unwrap(), &*reply, &shared)));
            }
        });
        Server { address, shared, accepting: Some(accepting) }
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The paths that were asked for, in order.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.shared.asked.lock().unwrap().clone()
    }

    pub(crate) fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        // Wakes it up.
        drop(TcpStream::connect(self.address));
        if let Some(accepting) = self.accepting.take() {
            drop(accepting.join());
        }
    }
}

fn answer(
    stream: &TcpStream,
    reply: &dyn Fn(&str) -> Reply,
    shared: &Shared,
) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream).lines();
    let first = lines.next().unwrap_or_else(|| Ok(String::new()))?;
    let Some(path) = first.split(' ').nth(1) else { return Ok(()) };
    while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
    shared.asked.lock().unwrap().push(path.to_owned());
    let Reply { status, headers, body, silent_for, drips, endless } = reply(path);
    let until = Instant::now() + silent_for;
    while Instant::now() < until && !shared.stopped.load(Ordering::SeqCst) {
        std::thread::sleep(Duration::from_millis(20));
    }
    let mut out = stream;
    write!(out, "HTTP/1.1 {status} Whatever\r\nconnection: close\r\n")?;
    for (name, value) in headers {
        write!(out, "{name}: {value}\r\n")?;
    }
    if !endless {
        write!(out, "content-length: {}\r\n", body.len())?;
    }
    write!(out, "\r\n")?;
    if drips {
        for byte in body {
            out.write_all(&[byte])?;
            std::thread::sleep(Duration::from_millis(50));
        }
        return Ok(());
    }
    out.write_all(&body)?;
    let until = Instant::now() + ENDLESS;
    while endless && Instant::now() < until {
        out.write_all(&[b'x'; 4096])?;
    }
    Ok(())
}
