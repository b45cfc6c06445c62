//! Stands between the tables and their server, and loses what it is told to.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

/// What happens to the next `COMMIT`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Cut {
    /// The connection breaks before the server gets it.
    Before,
    /// The connection breaks while the server works at it.
    Meanwhile,
    /// The connection breaks with the answer.
    Answer,
    /// The answer vanishes, and the connection stays.
    SilentAnswer,
    /// It is held up, and the connection stays.
    Held,
}

/// A way to the server that can be cut.
pub(crate) struct Proxy {
    port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    server: (String, u16),
    cut: Mutex<Option<Cut>>,
    is_closed: AtomicBool,
    is_over: AtomicBool,
    /// Both ends of every connection.
    ends: Mutex<Vec<TcpStream>>,
    /// A packet that is held up, and where it was on its way to.
    held: Mutex<Option<(TcpStream, Vec<u8>)>>,
}

impl Proxy {
    pub(crate) fn to(host: &str, port: u16) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let shared = Arc::new(Shared {
            server: (host.to_owned(), port),
            cut: Mutex::default(),
            is_closed: AtomicBool::new(false),
            is_over: AtomicBool::new(false),
            ends: Mutex::default(),
            held: Mutex::default(),
        });
        let port = listener.local_addr().unwrap().port();
        let of_listener = Arc::clone(&shared);
        thread::spawn(move || {
            for client in listener.incoming() {
                if of_listener.is_over.load(Ordering::SeqCst) {
                    return;
                }
                // A refused client is closed by being dropped.
                if !of_listener.is_closed.load(Ordering::SeqCst) {
                    Shared::join(&of_listener, client.unwrap());
                }
            }
        });
        Proxy { port, shared }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Has `cut` happen to the next `COMMIT`.
    pub(crate) fn cut_next(&self, cut: Cut) {
        *self.shared.cut.lock().unwrap() = Some(cut);
    }

    /// Whether the last [`cut_next`](Proxy::cut_next) has happened.
    pub(crate) fn has_cut(&self) -> bool {
        self.shared.cut.lock().unwrap().is_none()
    }

    /// Lets nobody through any more.
    pub(crate) fn close(&self) {
        self.shared.is_closed.store(true, Ordering::SeqCst);
    }

    /// Lets everybody through again.
    pub(crate) fn open(&self) {
        self.shared.is_closed.store(false, Ordering::SeqCst);
    }

    /// Lets the `COMMIT` arrive that was held up.
    pub(crate) fn deliver(&self) {
        let (mut server, packet) = self.shared.held.lock().unwrap().take().expect("one is held");
        server.write_all(&packet).unwrap();
    }

    /// Breaks every connection there is.
    pub(crate) fn break_all(&self) {
        self.shared.ends.lock().unwrap().drain(..).for_each(|end| shut(&end));
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::SeqCst);
        self.break_all();
        // Wakes the listener.
        _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

impl Shared {
    fn join(shared: &Arc<Shared>, client: TcpStream) {
        let (host, port) = &shared.server;
        let Ok(server) = TcpStream::connect((host.as_str(), *port)) else { return };
        let copy = |end: &TcpStream| end.try_clone().unwrap();
        shared.ends.lock().unwrap().extend([copy(&client), copy(&server)]);
        let swallow = Arc::new(Mutex::new(None));
        let (questions, answers) = ((copy(&client), copy(&server)), (server, client));
        let (of_questions, of_answers) = (Arc::clone(shared), Arc::clone(&swallow));
        thread::spawn(move || {
            _ = of_questions.pass_questions(&questions.0, &questions.1, &swallow);
        });
        thread::spawn(move || _ = pass_answers(&answers.0, &answers.1, &of_answers));
    }

    /// Passes packets on, until one is a `COMMIT` that is to be cut.
    fn pass_questions(
        &self,
        mut client: &TcpStream,
        mut server: &TcpStream,
        swallow: &Mutex<Option<Cut>>,
    ) -> io::Result<()> {
        loop {
            let mut packet = vec![0; 4];
            if let Err(error) = client.read_exact(&mut packet) {
                // A client that goes away is passed on too, but not past a cut
                // that keeps the connection.
                if swallow.lock().unwrap().is_none() {
                    shut(server);
                }
                return Err(error);
            }
            let length = u32::from_le_bytes([packet[0], packet[1], packet[2], 0]);
            packet.resize(4 + usize::try_from(length).unwrap(), 0);
            client.read_exact(&mut packet[4..])?;
            if packet[4..] != *b"\x03COMMIT" {
                server.write_all(&packet)?;
                continue;
            }
            let cut = self.cut.lock().unwrap().take();
            match cut {
                None => server.write_all(&packet)?,
                Some(Cut::Before) => {
                    shut(server);
                    shut(client);
                }
                Some(Cut::Meanwhile) => {
                    server.write_all(&packet)?;
                    shut(client);
                    shut(server);
                }
                Some(cut @ (Cut::Answer | Cut::SilentAnswer)) => {
                    *swallow.lock().unwrap() = Some(cut);
                    server.write_all(&packet)?;
                }
                Some(Cut::Held) => {
                    *swallow.lock().unwrap() = Some(Cut::Held);
                    *self.held.lock().unwrap() = Some((server.try_clone()?, packet));
                }
            }
        }
    }
}

/// Passes bytes on, until they are to vanish.
fn pass_answers(
    mut server: &TcpStream,
    mut client: &TcpStream,
    swallow: &Mutex<Option<Cut>>,
) -> io::Result<()> {
    let mut bytes = vec![0; 1 << 16];
    loop {
        let length = server.read(&mut bytes)?;
        let cut = *swallow.lock().unwrap();
        match cut {
            _ if length == 0 => {
                shut(client);
                return Ok(());
            }
            None => client.write_all(&bytes[..length])?,
            Some(Cut::Answer) => {
                shut(client);
                shut(server);
            }
            Some(_) => {}
        }
    }
}

fn shut(end: &TcpStream) {
    _ = end.shutdown(Shutdown::Both);
}
