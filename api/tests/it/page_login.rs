//! Logging in on the page, in a real browser. The page is the program's own, and a
//! script beside it types what a person would.

use crate::support::browser::Browser;
use crate::typist::{HELPERS, shown_after};
use crate::world::{PASSWORD, World};

const CARD: &str = r#"<article class="card" aria-labelledby"#;

/// Types name and password once the page asks, and then goes on with `then`.
fn typed(name: &str, password: &str, then: &str) -> String {
    format!(
        r#"
        {HELPERS}
        await until(() => $("ask").open);
        $("name").value = "{name}";
        $("token").value = "{password}";
        $("ask-form").requestSubmit();
        {then}
        "#
    )
}

#[test]
fn name_and_password_open_the_page() {
    let Some(browser) = Browser::find() else { return };
    let world = World::with_people();
    let shown = shown_after(&browser, &world, "", typed("vera", PASSWORD, ""));
    assert_eq!(shown.matches(CARD).count(), 3, "{shown}");
    assert!(!shown.contains(r#"aria-labelledby="ask-title" open"#), "{shown}");
    assert!(shown.contains("Log out"), "{shown}");
    // What the address asks for is shown after the login, too.
    let shown = shown_after(&browser, &world, "source=2", typed("vera", PASSWORD, ""));
    assert_eq!(shown.matches(CARD).count(), 1, "{shown}");
    // Who may see one source sees one.
    let shown = shown_after(&browser, &world, "", typed("vic", PASSWORD, ""));
    assert_eq!(shown.matches(CARD).count(), 1, "{shown}");
}

#[test]
fn a_wrong_password_is_told_and_opens_nothing() {
    let Some(browser) = Browser::find() else { return };
    let shown = shown_after(&browser, &World::with_people(), "", typed("vera", "wrong horse", ""));
    assert!(shown.contains(r#"aria-labelledby="ask-title" open"#), "{shown}");
    assert!(shown.contains("That is not right, or no longer."), "{shown}");
    assert!(!shown.contains(CARD) && !shown.contains("wrong horse"), "{shown}");
}

#[test]
fn the_page_refreshes_its_token_by_itself() {
    let Some(browser) = Browser::find() else { return };
    let then = r#"
        await until(() => document.querySelector(".cards article"));
        sessionStorage.setItem("animov-token", "expired.long.ago");
        await until(() => sessionStorage.getItem("animov-token") !== "expired.long.ago");
        await until(() => document.getElementById("link").dataset.state === "live");
        document.title = `renewed, ${$("ask").open ? "asked" : "and nobody was asked"}`;
    "#;
    let shown = shown_after(&browser, &World::with_people(), "", typed("vera", PASSWORD, then));
    assert!(shown.contains("<title>renewed, and nobody was asked</title>"), "{shown}");
    assert_eq!(shown.matches(CARD).count(), 3, "{shown}");
}

#[test]
fn logging_out_ends_the_login_and_leaves_nothing_to_see() {
    let Some(browser) = Browser::find() else { return };
    let world = World::with_people();
    for (view, cards) in [("", "#cards article"), ("page=herd", "#rhythms article, #herd-now div")]
    {
        let then = format!(
            r#"
            const seen = () => [...document.querySelectorAll("{cards}")].length + $("herd-caption").textContent.length;
            await until(() => 3 <= seen());
            $("leave").click();
            await until(() => $("ask").open);
            document.title = `${{sessionStorage.length}} kept, ${{seen()}} seen`;
        "#
        );
        let shown = shown_after(&browser, &world, view, typed("vera", PASSWORD, &then));
        assert!(shown.contains("<title>0 kept, 0 seen</title>"), "{view}: {shown}");
    }
    assert!(world.people.kept().logins.is_empty(), "the server knows it too");
}
