//! What the page shows beside the newest windows: other days, pictures, headcounts,
//! prices. In a real browser.

use std::time::Duration;

use axum::http::{Method, StatusCode};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use schemas::commit::Status;
use schemas::imported::{ImportedStore, Price, Visit};
use serde_json::json;

use crate::support::browser::Browser;
use crate::typist::{HELPERS, shown_after};
use crate::world::{World, at};

const JPEG: &[u8] = include_bytes!("../../../tests/data/animov/goat.jpg");

fn blocking<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Runtime::new().unwrap().block_on(work)
}

/// Does what `then` says once the page answers.
fn doing(then: &str) -> String {
    format!(r#"{HELPERS} await until(() => $("link").dataset.state === "live"); {then}"#)
}

#[test]
fn every_file_of_the_page_is_served() {
    let client = World::empty().client();
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/web");
    for file in std::fs::read_dir(folder).unwrap() {
        let name = file.unwrap().file_name().into_string().unwrap();
        let path = if name == "index.html" { "/".to_owned() } else { format!("/{name}") };
        let answer = blocking(client.get(&path));
        assert_eq!(answer.status, StatusCode::OK, "{path}");
        let file = std::fs::read_to_string(format!("{folder}/{name}")).unwrap();
        assert!(answer.body == file, "{path} is not {name}");
    }
}

#[test]
fn other_days_and_one_source_are_shown_when_they_are_chosen() {
    let Some(browser) = Browser::find() else { return };
    let world = World::small();
    for day in ["2026-02-20", "2026-03-01"] {
        world.count(2, &format!("{day}T09:00:00Z"), &[("standing", 7)]);
    }
    let choose = r##"
        for (const [id, value] of [["from", "2026-02-21"], ["to", "2026-02-19"], ["source", "2"]]) {
            $(id).value = value;
            $(id).dispatchEvent(new Event("change", { bubbles: true }));
        }
        await until(() => document.querySelectorAll("#cards .card h2").length === 1);
        await until(() => document.querySelector(".caption").textContent.includes("20"));
        document.title = location.hash;
    "##;
    let shown = shown_after(&browser, &world, "", doing(choose));
    let hash = "#size=1m&amp;metric=all&amp;source=2&amp;from=2026-02-21&amp;to=2026-02-19";
    assert!(shown.contains(&format!("<title>{hash}</title>")), "{shown}");
    // Of the days, whichever way round, and not of the first of March.
    assert!(shown.contains("Animals per picture, 20 Fri"), "{shown}");
    assert!(shown.contains("Source 2</h2>") && !shown.contains("North pen</h2>"), "{shown}");
    let before = shown_after(&browser, &world, "to=2026-02-01", doing(""));
    assert!(before.contains("No window on these days."), "{before}");
    assert!(!before.contains("mean metric-"), "{before}");
}

#[test]
fn the_herd_is_added_up_and_each_sources_day_stands_beside_its_usual_ones() {
    let Some(browser) = Browser::find() else { return };
    let world = World::empty();
    // 13 o'clock in Paris: half of the pen lay on one day, a quarter on the next, all on
    // the third; another pen has six that stand.
    for (day, lying) in [("2026-02-27", 2), ("2026-02-28", 1), ("2026-03-01", 4)] {
        let start = at(&format!("{day}T12:00:00Z"));
        for frame in 0..360 {
            let captured_at = start.plus(Duration::from_secs(10 * frame)).to_string();
            world.count(
                1,
                &captured_at,
                &[("lying", lying), ("standing", 4 - lying), ("total", 4)],
            );
        }
    }
    for window in world.store.tables().windows.values_mut() {
        window.status = Status::Final;
    }
    world.count(2, "2026-03-01T12:00:00Z", &[("standing", 6), ("total", 6)]);
    world.count(3, "2026-02-28T12:00:00Z", &[("standing", 1), ("total", 1)]);
    let see = r##"
        await until(() => document.querySelectorAll("#rhythms .card h2").length === 3);
        await until(() => document.querySelector("#rhythms .range") && document.querySelector("#herd svg"));
        const [first] = document.querySelectorAll("#rhythms .card");
        document.title = [$("herd-now"), $("herd-caption"), first.querySelector(".caption")].map((e) => e.textContent).join("|");
    "##;
    let shown = shown_after(&browser, &world, "page=herd&size=1h", doing(see));
    let title = "Lying 4.0Standing 6.0Lying share 40%|Animals at once, 1 Sun, 13:00–14:00 (so far) \
                 Not counted, for want of pictures: Source 3.|Lying animals of a hundred, hour by hour: \
                 Mar 1, and the days from Feb 1 to the day before it, with their standard deviation and extremes.";
    assert!(shown.contains(&format!("<title>{title}</title>")), "{shown}");
    // 100 % beside 50 and 25, which are 37.5 with a deviation of 17.7: 3.5 of them away.
    let row = r#"<td class="word">13 h</td><td>100.0</td><td>37.5</td><td>17.7</td><td>3.5</td><td>4.0</td><td>2</td>"#;
    assert!(shown.contains(row), "{shown}");
    assert!(shown.contains("No hour with enough pictures yet."), "{shown}");
    let minute = shown_after(
        &browser,
        &world,
        "page=herd&size=1m",
        doing(
            r##"
        await until(() => $("herd-table").textContent !== "");
        document.title = $("herd-now").textContent;
    "##,
        ),
    );
    let title = "Lying 4.0Standing 0.0Lying share 100%Synchrony 100%";
    assert!(minute.contains(&format!("<title>{title}</title>")), "{minute}");
    let one = shown_after(
        &browser,
        &world,
        "page=herd&size=1h&source=1&to=2026-02-28",
        doing(
            r##"await until(() => document.querySelector("#rhythms .card .caption")?.textContent.includes("Feb 28"));
            document.title = $("herd").hidden;"##,
        ),
    );
    assert!(one.contains("<title>true</title>"), "{one}");
    assert!(one.contains("<td>25.0</td><td>50.0</td><td>–</td><td>–</td>"), "{one}");
}

#[test]
fn kept_pictures_are_shown_with_what_was_found_in_them() {
    let Some(browser) = Browser::find() else { return };
    let world = World::small();
    let lying = json!([{"class": "lying", "x": 0.25, "y": 0.5, "w": 0.5, "h": 0.25}]);
    let body = json!([
        {"source": 1, "timestamp": 1000, "detect": lying, "frame": STANDARD.encode(JPEG)},
        {"source": 1, "timestamp": 2000, "detect": [], "frame": STANDARD.encode(JPEG)},
        {"source": 1, "timestamp": 3000, "detect": lying, "width": 400, "height": 300},
    ]);
    let client = world.client().with("content-type", "application/json");
    let sent = client.send(Method::POST, "/receive_data_animov", body.to_string().into_bytes());
    assert_eq!(blocking(sent).status, StatusCode::OK);
    let see = r##"
        const seen = () => [...document.querySelectorAll("#album img")].filter((img) => 0 < img.naturalWidth);
        await until(() => seen().length === 2);
        document.title = `${seen().length} seen`;
    "##;
    let shown = shown_after(&browser, &world, "page=pictures", doing(see));
    assert!(shown.contains("<title>2 seen</title>"), "the policy lets them be seen: {shown}");
    assert!(shown.contains("1 to 3 of 3"), "{shown}");
    assert!(shown.contains(r#"class="box metric-lying""#), "{shown}");
    assert!(shown.contains(r#"x="100" y="150" width="200" height="75""#), "{shown}");
    assert!(shown.contains("Lying 1") && shown.contains("nothing found"), "{shown}");
    assert!(shown.contains("No picture is kept of this record."), "{shown}");
    let numbered = r#"
        const ask = (n) => { $("nth").value = n; $("nth-form").requestSubmit(); };
        // As of a page that does not know yet that one was taken away.
        $("nth").max = 4;
        ask("4");
        await until(() => $("nth-wrong").textContent !== "");
        const wrong = $("nth-wrong").textContent;
        ask("1");
        await until(() => $("large").open);
        document.title = `${wrong} ${$("large-shown").querySelector(".when").textContent}`;
    "#;
    let shown = shown_after(&browser, &world, "page=pictures", doing(numbered));
    // The oldest, on the clocks of the farm.
    assert!(shown.contains("<title>There is no record 4. Jan 1, 1970, 01:16</title>"), "{shown}");
}

#[test]
fn a_file_of_headcounts_is_brought_and_shown() {
    let Some(browser) = Browser::find() else { return };
    let world = World::small();
    let bring = r##"
        const rows = "date;Effectif couche;Effectif debout\n2026-03-01 12:00;3;9\n2026-03-01 12:15;2;2\nyesterday;1;2\n";
        const files = new DataTransfer();
        files.items.add(new File([rows], "pen-1.csv", { type: "text/csv" }));
        $("brought-source").value = "5";
        $("brought-file").files = files.files;
        $("bring").requestSubmit();
        await until(() => $("brought").textContent !== "");
        await until(() => document.querySelector("#ratio-plot svg"));
    "##;
    let shown = shown_after(&browser, &world, "page=headcounts", doing(bring));
    for text in [
        "pen-1.csv: 3 rows, 2 of them new, 1 refused.",
        "Line 4: no date (yesterday)",
        "Headcounts of Source 5, files -1.csv",
        "Rows of files that could not be read: 1.",
        "<td class=\"word\">2026-03-01 12:00</td><td>3</td><td>9</td><td>75.0</td>",
        "mean metric-lying",
    ] {
        assert!(shown.contains(text), "{text} is missing: {shown}");
    }
}

#[test]
fn prices_are_shown_as_the_page_had_them() {
    let Some(browser) = Browser::find() else { return };
    let world = World::small();
    let price =
        |product: &str, price| Price { product: product.to_owned(), price, variation: None };
    let visit = Visit {
        url: "https://market.example/prices".to_owned(),
        taken_at: at("2026-03-01T06:00:00Z"),
        prices: vec![price("Hay <b>", Some(1.85)), price("Straw", None)],
    };
    world.imported.put_prices(&visit).unwrap();
    let shown = shown_after(&browser, &world, "page=prices&lang=fr", doing(""));
    for text in ["Hay &lt;b&gt;", "1,85", "Straw", "https://market.example/prices", "Produit"] {
        assert!(shown.contains(text), "{text} is missing: {shown}");
    }
    let none = shown_after(&browser, &world, "page=prices&from=2026-03-05", doing(""));
    assert!(none.contains("No price was fetched"), "{none}");
}
