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

/// A question whose answer can be withheld.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Question {
    /// MySQL's: a query that is this word.
    Commit,
    /// Kafka's: to append records.
    Append,
}

impl Question {
    /// Whether `piece`, which a client sends, ends with it or is its beginning.
    fn is_in(self, piece: &[u8]) -> bool {
        match self {
            Question::Commit => piece.ends_with(b"\x03COMMIT"),
            // A request begins with its length and the number of its kind: 0.
            Question::Append => {
                let length = piece.first_chunk().map(|length| u32::from_be_bytes(*length));
                let whole = u32::try_from(piece.len() - piece.len().min(4)).unwrap();
                length.is_some_and(|length| whole <= length) && piece.get(4..6) == Some(&[0, 0])
            }
        }
    }
}

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
    /// The next answer to this does not arrive.
    to_withhold: Mutex<Option<Question>>,
    withheld: AtomicU64,
    /// Connections refused or cut, pieces swallowed or delayed.
    harmed: AtomicU64,
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
            to_withhold: Mutex::new(None),
            withheld: AtomicU64::new(0),
            harmed: AtomicU64::new(0),
            connections: Mutex::new(Vec::new()),
        });
        let accepting = Arc::clone(&link);
        // Ends with the process.
        std::thread::spawn(move || {
            for client in listener.incoming() {
                match client {
                    Ok(client) => accepting.accept(client, server),
                    // Of one connection, or for want of a file descriptor: it passes.
                    Err(_) => std::thread::sleep(Duration::from_millis(10)),
                }
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
        let cut = connections.iter().filter(|connection| connection.close()).count();
        self.link.harmed.fetch_add(cut.try_into().unwrap(), Ordering::SeqCst);
        cut
    }

    /// Has the connection end that next waits for the answer to `question`, when
    /// the server has answered.
    pub(crate) fn withhold_next(&self, question: Question) {
        *self.link.to_withhold.lock().unwrap() = Some(question);
    }

    /// How many answers were withheld.
    pub(crate) fn withheld(&self) -> u64 {
        self.link.withheld.load(Ordering::SeqCst)
    }

    /// How often anything met a link that did not just pass it on.
    pub(crate) fn harmed(&self) -> u64 {
        self.link.harmed.load(Ordering::SeqCst)
    }
}

impl Link {
    fn mode(&self) -> Mode {
        *self.mode.lock().unwrap()
    }

    fn accept(self: &Arc<Self>, client: TcpStream, server: u16) {
        if self.mode() == Mode::Refuse {
            self.harmed.fetch_add(1, Ordering::SeqCst);
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
            let mode = self.mode();
            match mode {
                Mode::Swallow => connection.dead.store(true, Ordering::SeqCst),
                Mode::Slow(pause) => std::thread::sleep(pause),
                Mode::Forward | Mode::Refuse => (),
            }
            if matches!(mode, Mode::Swallow | Mode::Slow(_)) {
                self.harmed.fetch_add(1, Ordering::SeqCst);
            }
            if connection.dead.load(Ordering::SeqCst) {
                continue;
            }
            if asks {
                let mut question = self.to_withhold.lock().unwrap();
                if question.take_if(|question| question.is_in(piece)).is_some() {
                    connection.cut_answer.store(true, Ordering::SeqCst);
                }
            } else if connection.cut_answer.load(Ordering::SeqCst) {
                self.withheld.fetch_add(1, Ordering::SeqCst);
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
    fn only_the_answer_to_one_question_of_a_kind_is_withheld() {
        let level: &[u8] = b"\x2f\0\0\0\x03SET TRANSACTION ISOLATION LEVEL READ COMMITTED";
        let commit: &[u8] = b"\x07\0\0\0\x03COMMIT";
        let fetch: &[u8] = b"\0\0\0\x08\0\x01\0\x0c\0\0\0\x01";
        let append: &[u8] = b"\0\0\0\x08\0\0\0\x09\0\0\0\x02";
        for (question, another, asked) in
            [(Question::Commit, level, commit), (Question::Append, fetch, append)]
        {
            let proxy = Proxy::new(echo());
            proxy.withhold_next(question);
            let mut stream = connect(&proxy);
            assert_eq!(said(&mut stream, another).unwrap(), another);
            assert_eq!(said(&mut stream, asked), None);
            assert_eq!(proxy.withheld(), 1);
            assert_eq!(said(&mut connect(&proxy), asked).unwrap(), asked);
        }
    }
}
