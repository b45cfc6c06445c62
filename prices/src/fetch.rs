//! One request and its answer, within limits.
//!
//! # Invariants
//!
//! - A connection is made only to an address that was looked at: the name is
//!   resolved once, and what it was resolved to is connected to. A name that means
//!   another address a moment later changes nothing.
//! - No proxy of the environment stands between: it would resolve by itself.
//! - No redirect is followed here: each is a request of its own, looked at anew.
//! - A request ends at its time limit, however slowly the answer comes, and an
//!   answer longer than it may be is given up.

pub(crate) mod address;

use std::io::Read;
use std::net::IpAddr;
use std::time::Duration;

use ureq::config::Config;
use ureq::http::{Response, Uri};
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};
use ureq::{Agent, Body, Error};
use url::Url;

use address::is_public;

/// Who asks.
const USER_AGENT: &str = concat!("animov/", env!("CARGO_PKG_VERSION"));

/// Asks others for their pages.
pub(crate) struct Fetcher {
    agent: Agent,
}

/// What somebody answered.
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Where else to ask, if they say so.
    pub(crate) location: Option<String>,
    pub(crate) content_type: Option<String>,
    body: Body,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    #[error(
        "its address {address} is on this machine or in a private network, which prices.allow_private \
         does not allow"
    )]
    Private { address: IpAddr },

    #[error("it did not answer in time; prices.timeout says how long a visit may take")]
    TooSlow,

    #[error("it has more than {max} bytes; prices.bytes_max says how long a page may be")]
    TooLong { max: u64 },

    #[error("it does not answer as it should")]
    Http(#[source] Box<Error>),
}

impl From<Error> for FetchError {
    fn from(error: Error) -> FetchError {
        match error {
            Error::Timeout(_) => FetchError::TooSlow,
            Error::BodyExceedsLimit(max) => FetchError::TooLong { max },
            Error::Other(other) => match other.downcast::<Refused>() {
                Ok(refused) => FetchError::Private { address: refused.0 },
                Err(other) => FetchError::Http(Box::new(Error::Other(other))),
            },
            error => FetchError::Http(Box::new(error)),
        }
    }
}

impl Fetcher {
    /// Asks addresses in this network too only if `allow_private`.
    pub(crate) fn new(allow_private: bool) -> Fetcher {
        Fetcher::with_names(DefaultResolver::default(), allow_private)
    }

    /// The same, who has names from `names`.
    fn with_names(names: impl Resolver, allow_private: bool) -> Fetcher {
        let config = Config::builder()
            .user_agent(USER_AGENT)
            .accept("text/html, text/plain;q=0.5, */*;q=0.1")
            .proxy(None)
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .max_idle_connections(0)
            .build();
        let resolver = Looking { names, allow_private };
        Fetcher { agent: Agent::with_parts(config, DefaultConnector::default(), resolver) }
    }

    /// Asks for `url`; all of it, up to the end of the answer's body, has `limit`.
    pub(crate) fn get(&self, url: &Url, limit: Duration) -> Result<Answer, FetchError> {
        let request = self.agent.get(url.as_str()).config().timeout_global(Some(limit)).build();
        let response = request.call()?;
        let header = |name: &str| text_of(&response, name);
        let (location, content_type) = (header("location"), header("content-type"));
        let status = response.status().as_u16();
        Ok(Answer { status, location, content_type, body: response.into_body() })
    }
}

fn text_of(response: &Response<Body>, name: &str) -> Option<String> {
    Some(String::from_utf8_lossy(response.headers().get(name)?.as_bytes()).into_owned())
}

impl Answer {
    /// The body, if it is not too long.
    pub(crate) fn whole(mut self, max: u64) -> Result<Vec<u8>, FetchError> {
        if self.body.content_length().is_some_and(|length| max < length) {
            return Err(FetchError::TooLong { max });
        }
        Ok(self.body.with_config().limit(max).read_to_vec()?)
    }

    /// At most `max` bytes from the body's beginning.
    pub(crate) fn beginning(mut self, max: u64) -> Result<Vec<u8>, FetchError> {
        let mut bytes = Vec::new();
        let mut reader = self.body.with_config().limit(u64::MAX).reader().take(max);
        match reader.read_to_end(&mut bytes) {
            Ok(_) => Ok(bytes),
            Err(error) => Err(Error::from(error).into()),
        }
    }
}

/// Resolves names, and looks at what comes out.
#[derive(Debug)]
struct Looking<R> {
    names: R,
    allow_private: bool,
}

/// An address that may not be asked.
#[derive(Debug, thiserror::Error)]
#[error("the address {0} is private")]
struct Refused(IpAddr);

impl<R: Resolver> Resolver for Looking<R> {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, Error> {
        let resolved = self.names.resolve(uri, config, timeout)?;
        if self.allow_private {
            return Ok(resolved);
        }
        // One is enough: who mixes them means no good.
        match resolved.iter().find(|address| !is_public(address.ip())) {
            Some(private) => Err(Error::Other(Box::new(Refused(private.ip())))),
            None => Ok(resolved),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{SocketAddr, TcpListener};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Names that mean another address each time they are asked for.
    #[derive(Clone, Debug)]
    struct Changing {
        meanings: Vec<Vec<SocketAddr>>,
        asked: Arc<AtomicUsize>,
    }

    impl Changing {
        fn new(meanings: &[&[SocketAddr]]) -> Changing {
            let meanings = meanings.iter().map(|meaning| meaning.to_vec()).collect();
            Changing { meanings, asked: Arc::default() }
        }
    }

    impl Resolver for Changing {
        fn resolve(
            &self,
            _: &Uri,
            _: &Config,
            _: NextTimeout,
        ) -> Result<ResolvedSocketAddrs, Error> {
            let nth = self.asked.fetch_add(1, Ordering::SeqCst);
            let mut resolved = self.empty();
            let meaning = &self.meanings[nth.min(self.meanings.len() - 1)];
            meaning.iter().for_each(|address| resolved.push(*address));
            Ok(resolved)
        }
    }

    const LIMIT: Duration = Duration::from_secs(5);

    fn market() -> Url {
        "http://market.example/".parse().unwrap()
    }

    #[test]
    fn what_is_connected_to_is_what_was_looked_at_whatever_the_name_means_later() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (here, nowhere) = (listener.local_addr().unwrap(), "127.0.0.1:1".parse().unwrap());
        let served = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut asked = [0; 1024];
            let length = stream.read(&mut asked).unwrap();
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").unwrap();
            String::from_utf8_lossy(&asked[..length]).into_owned()
        });
        let names = Changing::new(&[&[here], &[nowhere]]);
        let answer = Fetcher::with_names(names.clone(), true).get(&market(), LIMIT).unwrap();
        assert_eq!(answer.whole(2).unwrap(), b"ok");
        assert_eq!(names.asked.load(Ordering::SeqCst), 1);
        let asked = served.join().unwrap();
        assert!(asked.contains("market.example") && asked.contains("animov/"), "{asked}");
    }

    #[test]
    fn a_name_that_also_means_this_machine_is_not_asked() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let here = listener.local_addr().unwrap();
        let public: SocketAddr = "1.1.1.1:80".parse().unwrap();
        for meaning in [&[here][..], &[public, here], &[here, public]] {
            let names = Changing::new(&[meaning]);
            let refused = Fetcher::with_names(names, false).get(&market(), LIMIT).err();
            assert!(matches!(refused, Some(FetchError::Private { .. })), "{meaning:?}");
        }
        assert!(listener.accept().is_err(), "nobody has come");
    }
}
