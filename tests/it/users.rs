//! Who may log in, as the command line says it and a running site keeps to it.

use std::io::Write;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

use crate::support::{ANIMOV, Counted, PATIENCE, Site, failed, succeeded, within};

const PASSWORD: &str = "a goat has four legs";

/// A site with a key that signs.
fn site() -> Site {
    let site = Site::new("");
    let key = site.dir.path().join("key.pem");
    let made = Command::new("openssl")
        .args(["genpkey", "-quiet", "-algorithm", "ed25519", "-out"])
        .arg(&key)
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let key = key.display();
    site.configure(&format!(
        "[[api.auth.key]]\nid = \"one\"\nalgorithm = \"EdDSA\"\nfile = \"{key}\"\n\
         [api.auth]\nrecheck = \"100ms\"\n"
    ));
    site
}

impl Site {
    /// `animov user …` of this site, with `input` as its standard input.
    fn user(&self, arguments: &[&str], input: &str) -> Output {
        let mut child = Command::new(ANIMOV)
            .arg("user")
            .args(arguments)
            .arg("--config")
            .arg(&self.config)
            .arg("--state")
            .arg(self.state())
            .env("USER", "root")
            .env_remove("SUDO_USER")
            .env_remove("ANIMOV_USER_PASSWORD")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // It may not want any.
        drop(child.stdin.take().unwrap().write_all(input.as_bytes()));
        child.wait_with_output().unwrap()
    }

    /// Status and body of an answer.
    fn asked(&self, path: &str, token: &str, body: Option<&Value>) -> (u16, Value) {
        let agent: ureq::Agent =
            ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let authorization = format!("Bearer {token}");
        let answer = match body {
            None => agent.get(self.url(path)).header("authorization", &authorization).call(),
            Some(body) => {
                agent.post(self.url(path)).header("authorization", &authorization).send_json(body)
            }
        };
        let mut answer = answer.unwrap();
        let body = answer.body_mut().read_json().unwrap_or(Value::Null);
        (answer.status().as_u16(), body)
    }

    fn login(&self, name: &str, password: &str) -> (u16, Value) {
        let body = json!({"grant_type": "password", "username": name, "password": password});
        self.asked("/v1/auth/token", "", Some(&body))
    }
}

#[test]
fn users_that_the_command_line_makes_log_in_until_it_says_otherwise() {
    let site = site();
    let anne = succeeded(site.user(&["add", "anne", "--role", "admin"], PASSWORD));
    assert_eq!(anne, "anne can log in, as admin, and may see all\n");
    let again = failed(&site.user(&["add", "anne", "--role", "viewer"], PASSWORD));
    assert!(again.contains("there is a user anne already"), "{again}");
    let short = failed(&site.user(&["add", "bob", "--role", "viewer"], "short\n"));
    assert!(short.contains("the password has 5 characters; it needs 10 or more"), "{short}");
    let none = failed(&site.user(&["add", "bob", "--role", "viewer"], ""));
    assert!(none.contains("there is no password"), "{none}");
    let running = site.start_ready();
    assert_eq!(site.asked("/v1/sources", "", None).0, 401);
    // Beside a running site.
    succeeded(site.user(&["add", "vic", "--role", "viewer", "--sources", "42"], PASSWORD));
    let (status, vic) = site.login("vic", PASSWORD);
    assert_eq!((status, &vic["sources"]), (200, &json!([42])));
    let token = vic["access_token"].as_str().unwrap().to_owned();
    assert_eq!(site.asked("/v1/sources/41/windows/1m", &token, None).0, 403);
    succeeded(site.user(&["change", "vic", "--sources", "41,42"], ""));
    let sees = || site.asked("/v1/sources/41/windows/1m", &token, None).0;
    within(PATIENCE, "the change is noticed", || (sees() == 404).then_some(()));
    succeeded(site.user(&["passwd", "vic"], "another password"));
    within(PATIENCE, "the login has ended", || (sees() == 401).then_some(()));
    assert_eq!(site.login("vic", PASSWORD).0, 401);
    assert_eq!(site.login("vic", "another password").0, 200);
    succeeded(site.user(&["disable", "vic"], ""));
    assert_eq!(site.login("vic", "another password").0, 401);
    succeeded(site.user(&["enable", "vic"], ""));
    assert_eq!(site.login("vic", "another password").0, 200);
    let unknown = failed(&site.user(&["disable", "nobody"], ""));
    assert!(unknown.contains("there is no user nobody"), "{unknown}");

    let users: Value =
        serde_json::from_str(&succeeded(site.user(&["list", "--json"], ""))).unwrap();
    let told = |user: &Value| format!("{} {} {}", user["name"], user["role"], user["sources"]);
    let users: Vec<String> = users.as_array().unwrap().iter().map(told).collect();
    assert_eq!(users, [r#""anne" "admin" "all""#, r#""vic" "viewer" "41,42""#]);

    let log: Value = serde_json::from_str(&succeeded(site.user(&["log", "--json"], ""))).unwrap();
    let told = |line: &Value| {
        let field = |name: &str| line[name].as_str().unwrap();
        format!("{} {} {}: {}", field("who"), field("what"), field("whom"), field("result"))
    };
    let lines: Vec<String> = log.as_array().unwrap().iter().map(told).collect();
    assert_eq!(
        lines,
        [
            "root user add admin all anne: ok",
            "root user add viewer 42 vic: ok",
            "vic login : ok",
            "root sources 41,42 vic: ok",
            "root password vic: ok",
            "vic login : wrong name or password",
            "vic login : ok",
            "root disable vic: ok",
            "vic login : wrong name or password",
            "root enable vic: ok",
            "vic login : ok",
        ]
    );
    let text = succeeded(site.user(&["log", "--limit", "3"], ""));
    assert_eq!(text.lines().count(), 4, "{text}");
    // No password and no token is told anywhere.
    for secret in [PASSWORD, "another password", &token] {
        assert!(!site.said().contains(secret));
    }
    running.terminate();
}

#[test]
fn a_producer_appends_with_its_token_until_it_is_revoked() {
    let site = site();
    let token = succeeded(site.user(&["token", "add", "barn", "--sources", "7"], ""));
    let token = token.trim();
    let running = site.start_ready();
    let frame = |source: i64, seq: u64| {
        Counted {
            source,
            session: "8c5e6d0a-2f6b-4b0e-9d7f-1f6f5b7c9a11".to_owned(),
            seq,
            captured_at: 1_772_366_400_000,
            lying: 1,
            standing: 0,
        }
        .json()
    };
    let append = |source, seq| site.asked("/v1/frames", token, Some(&frame(source, seq))).0;
    assert_eq!(append(7, 0), 202);
    assert_eq!(append(8, 0), 403);
    assert_eq!(site.asked("/v1/sources", token, None).0, 403);
    let listed = succeeded(site.user(&["token", "list"], ""));
    assert!(listed.contains("barn") && listed.contains("never"), "{listed}");
    assert!(!listed.contains(token), "{listed}");
    succeeded(site.user(&["token", "revoke", "barn"], ""));
    let mut seq = 1;
    within(PATIENCE, "the token is not taken any more", || {
        seq += 1;
        (append(7, seq) == 401).then_some(())
    });
    running.terminate();
}
