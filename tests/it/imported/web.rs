//! Pages of prices.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};

use serde_json::json;

use crate::support::{PATIENCE, Site, failed, lines, succeeded, within};

/// A market whose page shows a price, on this machine; it ends with the test's process.
fn market() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/prices", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        listener.incoming().for_each(|stream| drop(answer(&stream.unwrap())))
    });
    url
}

fn answer(mut stream: &TcpStream) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream).lines();
    let first = lines.next().unwrap_or_else(|| Ok(String::new()))?;
    while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
    let (status, body) = match first.split(' ').nth(1) {
        Some("/prices") => (
            "200 OK",
            "<table><tr class=sta5><td>+0,5 %</td><td><a>Foin</a></td><td><strong>1,85</strong></td>\
             </tr><tr class=sta5><td></td><td><a>Paille</a></td><td><strong>n.c.</strong></td></tr>",
        ),
        _ => ("404 Not Found", ""),
    };
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
    )
}

#[test]
fn a_page_is_read_when_it_is_asked_for_and_served_with_its_time() {
    let url = market();
    let site = Site::new("[prices]\nallow_private = true\n");
    let shown = succeeded(site.animov(&["import", "web", &url, "--dry-run"]));
    assert_eq!(
        lines(&shown),
        [
            json!({"product": "Foin", "price": 1.85, "variation": "+0,5 %"}),
            json!({"product": "Paille", "price": null, "variation": ""}),
        ]
    );
    let told = succeeded(site.animov(&["import", "web", &url]));
    assert_eq!(told, "rows=2 without_price=1 passed_over=0\n");
    let other = site.animov(&["import", "web", &url, "--row", ".other"]);
    assert!(failed(&other).contains("has the page changed?"));
    let running = site.start_ready();
    let prices = site.get("/v1/prices");
    let prices = prices["items"].as_array().unwrap();
    assert_eq!(prices.len(), 2, "what was only shown is not kept");
    assert_eq!((&prices[0]["page"], &prices[0]["price"]), (&json!(url), &json!(1.85)));
    running.terminate();
}

#[test]
fn a_page_of_the_configuration_is_visited_by_itself_and_checked() {
    let url = market();
    let site =
        Site::new(&format!("[prices]\nallow_private = true\n[[prices.page]]\nurl = \"{url}\"\n"));
    let checked = succeeded(site.animov(&["check"]));
    assert!(checked.contains(&format!("ok     prices of {url}: 2 rows, 1 of them")), "{checked}");
    let visits = |wanted: usize| {
        within(PATIENCE, "a visit", || {
            let prices = site.get("/v1/prices?from=2020-01-01");
            (wanted <= prices["items"].as_array().unwrap().len()).then_some(())
        });
    };
    let running = site.start_ready();
    visits(2);
    running.terminate();
    // A restart is no reason to ask again.
    let running = site.start_ready();
    std::thread::sleep(std::time::Duration::from_secs(1));
    assert_eq!(site.get("/v1/prices?from=2020-01-01")["items"].as_array().unwrap().len(), 2);
    running.terminate();
}

#[test]
fn this_machine_is_not_asked_unless_that_is_allowed() {
    let url = market();
    let site = Site::new("");
    let told = failed(&site.animov(&["import", "web", &url]));
    assert!(told.contains("127.0.0.1") && told.contains("prices.allow_private"), "{told}");
    for url in ["ftp://a.example/", "file:///etc/passwd", "a.example"] {
        let output = site.animov(&["import", "web", url]);
        assert_eq!(output.status.code(), Some(2), "{url}");
    }
    site.configure(&format!("[[prices.page]]\nurl = \"{url}\"\n"));
    let output = site.animov(&["check"]);
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(3));
    assert!(told.contains(&format!("WRONG  prices of {url}")), "{told}");
}
