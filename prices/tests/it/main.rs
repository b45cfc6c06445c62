//! Pages of a small server of our own, well behaved and not.

#![expect(clippy::unwrap_used, reason = "in a test, what must not fail may panic")]

mod server;

use std::time::{Duration, Instant};

use prices::config::{PageConfig, PricesConfig};
use prices::visit::{FetchError, VisitError, Visitor};

use server::{Reply, Server};

const ROWS: &str = "<table><tr class=sta5><td>+1 %</td><td><a>Foin</a></td>\
                    <td><strong>1,85</strong></td></tr></table>";

/// This machine may be asked, and nothing takes long.
fn config() -> PricesConfig {
    PricesConfig { allow_private: true, timeout: Duration::from_secs(5), ..PricesConfig::default() }
}

fn visit(config: &PricesConfig, url: &str) -> Result<String, VisitError> {
    let page = PageConfig::at(url.parse().unwrap());
    let extracted = Visitor::new(config).visit(&page)?;
    Ok(format!("{:?}", extracted.prices))
}

const SEEN: &str = r#"[Price { product: "Foin", price: Some(1.85), variation: Some("+1 %") }]"#;

#[test]
fn a_page_is_read_also_where_it_leads_on() {
    let server = Server::start(|path| match path {
        "/robots.txt" => Reply::status(404),
        "/first" => Reply::redirect(302, "second?a=b"),
        "/second?a=b" => Reply::redirect(308, "/third#part"),
        "/third" => Reply::page(ROWS),
        _ => Reply::status(500),
    });
    assert_eq!(visit(&config(), &server.url("/third")).unwrap(), SEEN);
    assert_eq!(visit(&config(), &server.url("/first")).unwrap(), SEEN);
    assert_eq!(server.asked().iter().filter(|path| *path == "/robots.txt").count(), 2);
}

#[test]
fn the_characters_are_those_that_the_server_names() {
    let server = Server::start(|path| match path {
        "/robots.txt" => Reply::status(404),
        _ => Reply {
            headers: vec![("content-type".into(), "text/html; charset=iso-8859-1".into())],
            body: b"<p class=sta5><a>Bl\xE9</a>".to_vec(),
            ..Reply::page("")
        },
    });
    let told = visit(&config(), &server.url("/")).unwrap();
    assert!(told.contains("Bl\u{e9}"), "{told}");
}

#[test]
fn a_page_without_rows_or_without_success_is_an_error_that_says_so() {
    let server = Server::start(|path| match path {
        "/robots.txt" => Reply::status(404),
        "/empty" => Reply::page("<p>nothing here"),
        _ => Reply::status(503),
    });
    let told = visit(&config(), &server.url("/empty")).unwrap_err();
    assert!(matches!(&told, VisitError::NoRow { css, .. } if css == ".sta5"), "{told}");
    let told = visit(&config(), &server.url("/away")).unwrap_err();
    assert!(matches!(told, VisitError::Status { status: 503, .. }), "{told}");
}

#[test]
fn redirects_have_an_end() {
    let server = Server::start(|path| match path {
        "/robots.txt" => Reply::status(404),
        "/ftp" => Reply::redirect(301, "ftp://127.0.0.1/x"),
        "/file" => Reply::redirect(301, "file:///etc/passwd"),
        "/user" => Reply::redirect(301, "http://a:b@127.0.0.1/"),
        path => Reply::redirect(302, &format!("{path}x")),
    });
    let told = visit(&config(), &server.url("/loop")).unwrap_err();
    assert!(matches!(told, VisitError::TooManyRedirects { max: 5, .. }), "{told}");
    assert_eq!(server.asked().len(), 1 + 6, "one robots.txt, six pages");
    let none = PricesConfig { redirects_max: 0, ..config() };
    assert!(matches!(
        visit(&none, &server.url("/loop")),
        Err(VisitError::TooManyRedirects { max: 0, .. })
    ));
    for path in ["/ftp", "/file", "/user"] {
        let told = visit(&config(), &server.url(path)).unwrap_err();
        assert!(matches!(told, VisitError::Redirect { .. }), "{told}");
    }
}

#[test]
fn a_body_that_is_too_long_is_given_up_whether_it_says_so_or_not() {
    let server = Server::start(|path| match path {
        "/robots.txt" => Reply::status(404),
        "/honest" => Reply::page(&"x".repeat(100_001)),
        _ => Reply { endless: true, ..Reply::page("x") },
    });
    let small = PricesConfig { bytes_max: 100_000.try_into().unwrap(), ..config() };
    for path in ["/honest", "/endless"] {
        let told = visit(&small, &server.url(path)).unwrap_err();
        let VisitError::Fetch { source, .. } = told else { panic!("{told}") };
        assert!(matches!(source, FetchError::TooLong { max: 100_000 }), "{source}");
    }
}

#[test]
fn who_answers_slowly_is_given_up_in_time() {
    let server = Server::start(|path| match path {
        "/robots.txt" => Reply::status(404),
        "/silent" => Reply { silent_for: Duration::from_secs(30), ..Reply::page(ROWS) },
        _ => Reply { drips: true, ..Reply::page(&"x".repeat(1000)) },
    });
    let hurried = PricesConfig { timeout: Duration::from_secs(1), ..config() };
    for path in ["/silent", "/dripping"] {
        let begun = Instant::now();
        let told = visit(&hurried, &server.url(path)).unwrap_err();
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
        let VisitError::Fetch { source, .. } = told else { panic!("{told}") };
        assert!(matches!(source, FetchError::TooSlow), "{source}");
    }
}

#[test]
fn nobody_in_this_network_is_asked_unless_that_is_allowed() {
    let server = Server::start(|_| Reply::page(ROWS));
    let careful = PricesConfig { allow_private: false, ..config() };
    let port = server.port();
    for host in ["127.0.0.1", "localhost", "127.1", "0x7f000001", "2130706433", "[::ffff:7f00:1]"] {
        let told = visit(&careful, &format!("http://{host}:{port}/")).unwrap_err();
        let VisitError::Fetch { source, .. } = told else { panic!("{host}: {told}") };
        assert!(matches!(source, FetchError::Private { .. }), "{host}: {source}");
    }
    assert_eq!(server.asked(), Vec::<String>::new(), "not even connected to");
    assert_eq!(server.connections(), 0);
    assert_eq!(visit(&config(), &server.url("/")).unwrap(), SEEN);
}

#[test]
fn a_host_that_wants_to_be_left_alone_is_left_alone() {
    let server = Server::start(|path| match path {
        "/robots.txt" => Reply::page("User-agent: *\nDisallow: /private\n"),
        "/led" => Reply::redirect(302, "/private/prices"),
        _ => Reply::page(ROWS),
    });
    assert_eq!(visit(&config(), &server.url("/prices")).unwrap(), SEEN);
    for path in ["/private", "/led"] {
        let told = visit(&config(), &server.url(path)).unwrap_err();
        assert!(matches!(told, VisitError::Unwelcome { .. }), "{told}");
    }
    assert!(!server.asked().iter().any(|path| path.starts_with("/private")));
}

#[test]
fn while_nobody_can_be_asked_whether_we_are_welcome_we_stay_away() {
    let server = Server::start(|path| match path {
        "/robots.txt" => Reply::status(500),
        _ => Reply::page(ROWS),
    });
    let told = visit(&config(), &server.url("/prices")).unwrap_err();
    assert!(matches!(told, VisitError::Robots { .. }), "{told}");
    assert_eq!(server.asked(), ["/robots.txt"]);
    // And where it leads in circles too.
    let server = Server::start(|path| match path {
        "/robots.txt" => Reply::redirect(302, "/robots.txt"),
        _ => Reply::page(ROWS),
    });
    let told = visit(&config(), &server.url("/prices")).unwrap_err();
    assert!(matches!(told, VisitError::Robots { .. }), "{told}");
    assert_eq!(server.asked().len(), 6);
}

#[test]
fn an_endless_robots_txt_is_read_at_its_beginning() {
    let server = Server::start(|path| match path {
        "/robots.txt" => {
            Reply { endless: true, ..Reply::page("User-agent: *\nDisallow: /private\n") }
        }
        _ => Reply::page(ROWS),
    });
    assert_eq!(visit(&config(), &server.url("/prices")).unwrap(), SEEN);
    let told = visit(&config(), &server.url("/private")).unwrap_err();
    assert!(matches!(told, VisitError::Unwelcome { .. }), "{told}");
}
