//! A TCP link that can be told to fail.
//!
//! # Invariants
//!
//! - What passes is passed unchanged and in order.
//! - A connection of which anything was swallowed never speaks again: to both
//!   ends it looks alive, as a link does whose other half is gone.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How the client's side of MySQL's protocol says it: a query that is this word.
const COMMIT: &[u8] = b"\x03COMMIT";

/// What a link does to its connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Forward,
    /// Connections are closed as soon as they are opened.
    Refuse,
    /// Connections are taken, and nothing of them arrives.
    Swallow,
    /// Each piece of data waits so long.
    Slow(Duration),
}

/// A listening port before a server's.
pub(crate) struct Proxy {
    pub(crate) port: u16,
    link: Arc<Link>,
}

struct Link {
    mode: Mutex<Mode>,
    /// The next answer to a `COMMIT` does not arrive.
    cut_commit: AtomicBool,
    commits_cut: AtomicU64,
    connections: Mutex<Vec<Arc<Connection>>>,
}

struct Connection {
    client: TcpStream,
    server: TcpStream,
    dead: AtomicBool,
    /// What the server says next is not passed on.
    cut_answer: AtomicBool,
}

impl Proxy {
    /// A link to `server` on this machine.
    pub(crate) fn new(server: u16) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let link = Arc::new(Link {
            mode: Mutex::new(Mode::Forward),
            cut_commit: AtomicBool::new(false),
            commits_cut: AtomicU64::new(0),
            connections: Mutex::new(Vec::new()),
        });
        let accepting = Arc::clone(&link);
        // Ends with the process.
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                accepting.accept(client, server);
            }
        });
        Proxy { port, link }
    }

    pub(crate) fn set(&self, mode: Mode) {
        *self.link.mode.lock().unwrap() = mode;
    }

    /// Closes every connection; how many there were.
    pub(crate) fn cut(&self) -> usize {
        let connections = std::mem::take(&mut *self.link.connections.lock().unwrap());
        connections.iter().filter(|connection| connection.close()).count()
    }

    /// Has the connection end that next waits for the answer to a `COMMIT`, when
    /// the server has answered.
    pub(crate) fn cut_next_commit(&self) {
        self.link.cut_commit.store(true, Ordering::SeqCst);
    }

    /// How many answers to a `COMMIT` were withheld.
    pub(crate) fn commits_cut(&self) -> u64 {
        self.link.commits_cut.load(Ordering::SeqCst)
    }
}

impl Link {
    fn mode(&self) -> Mode {
        *self.mode.lock().unwrap()
    }

    fn accept(self: &Arc<Self>, client: TcpStream, server: u16) {
        if self.mode() == Mode::Refuse {
            return;
        }
        let Ok(server) = TcpStream::connect(("127.0.0.1", server)) else { return };
        client.set_nodelay(true).unwrap();
        server.set_nodelay(true).unwrap();
        let connection = Arc::new(Connection {
            client,
            server,
            dead: AtomicBool::new(false),
            cut_answer: AtomicBool::new(false),
        });
        let mut connections = self.connections.lock().unwrap();
        connections.push(Arc::clone(&connection));
        drop(connections);
        for asks in [true, false] {
            let (link, connection) = (Arc::clone(self), Arc::clone(&connection));
            std::thread::spawn(move || {
                link.pump(&connection, asks);
                connection.close();
                let mut connections = link.connections.lock().unwrap();
                connections.retain(|one| !Arc::ptr_eq(one, &connection));
            });
        }
    }

    /// Passes on what the client asks, or what the server answers, to the end.
    fn pump(&self, connection: &Connection, asks: bool) {
        let (mut from, mut to) = match asks {
            true => (&connection.client, &connection.server),
            false => (&connection.server, &connection.client),
        };
        let mut buffer = vec![0; 64 << 10];
        while let Ok(length @ 1..) = from.read(&mut buffer) {
            let piece = &buffer[..length];
            match self.mode() {
                Mode::Swallow => connection.dead.store(true, Ordering::SeqCst),
                Mode::Slow(pause) => std::thread::sleep(pause),
                Mode::Forward | Mode::Refuse => (),
            }
            if connection.dead.load(Ordering::SeqCst) {
                continue;
            }
            if asks && piece.ends_with(COMMIT) && self.cut_commit.swap(false, Ordering::SeqCst) {
                connection.cut_answer.store(true, Ordering::SeqCst);
            }
            if !asks && connection.cut_answer.load(Ordering::SeqCst) {
                self.commits_cut.fetch_add(1, Ordering::SeqCst);
                return;
            }
            if to.write_all(piece).is_err() {
                return;
            }
        }
    }
}

impl Connection {
    /// Whether it was open.
    fn close(&self) -> bool {
        // Either end may have gone already.
        _ = self.server.shutdown(Shutdown::Both);
        self.client.shutdown(Shutdown::Both).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that says everything again.
    fn echo() -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                std::thread::spawn(move || {
                    let mut reader = stream.try_clone().unwrap();
                    std::io::copy(&mut reader, &mut stream)
                });
            }
        });
        port
    }

    fn connect(proxy: &Proxy) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", proxy.port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
        stream
    }

    /// What comes back; `None` if the connection ends or nothing comes.
    fn said(stream: &mut TcpStream, words: &[u8]) -> Option<Vec<u8>> {
        stream.write_all(words).ok()?;
        let mut answer = vec![0; words.len()];
        stream.read_exact(&mut answer).ok()?;
        Some(answer)
    }

    #[test]
    fn a_link_passes_everything_on_until_it_is_cut_and_then_again() {
        let proxy = Proxy::new(echo());
        let mut stream = connect(&proxy);
        assert_eq!(said(&mut stream, b"goat").unwrap(), b"goat");
        assert_eq!(proxy.cut(), 1);
        assert_eq!(said(&mut stream, b"goat"), None);
        assert_eq!(said(&mut connect(&proxy), b"goat").unwrap(), b"goat");
        proxy.set(Mode::Refuse);
        assert_eq!(said(&mut connect(&proxy), b"goat"), None);
    }

    #[test]
    fn a_half_open_connection_never_speaks_again_and_a_new_one_does() {
        let proxy = Proxy::new(echo());
        let mut stream = connect(&proxy);
        assert_eq!(said(&mut stream, b"goat").unwrap(), b"goat");
        proxy.set(Mode::Swallow);
        assert_eq!(said(&mut stream, b"goat"), None);
        proxy.set(Mode::Forward);
        assert_eq!(said(&mut stream, b"goat"), None);
        assert_eq!(said(&mut connect(&proxy), b"goat").unwrap(), b"goat");
    }

    #[test]
    fn only_the_answer_to_one_commit_is_withheld() {
        let proxy = Proxy::new(echo());
        proxy.cut_next_commit();
        let mut stream = connect(&proxy);
        let level = b"\x2f\0\0\0\x03SET TRANSACTION ISOLATION LEVEL READ COMMITTED";
        assert_eq!(said(&mut stream, level).unwrap(), level);
        let commit = b"\x07\0\0\0\x03COMMIT";
        assert_eq!(said(&mut stream, commit), None);
        assert_eq!(proxy.commits_cut(), 1);
        assert_eq!(said(&mut connect(&proxy), commit).unwrap(), commit);
    }
}
