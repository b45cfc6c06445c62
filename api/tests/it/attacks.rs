//! Tokens that are not ours, and requests that mean harm.

use api::{AuthConfig, KeyAlgorithm, KeyConfig, Keys};
use axum::http::StatusCode;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use ring::hmac;
use serde_json::{Value, json};

use crate::world::{Client, NOON, SECRET, World, at, keys};

/// Noon in Unix seconds.
fn noon() -> i64 {
    at(NOON).get() / 1000
}

fn encoded(value: &Value) -> String {
    BASE64.encode(value.to_string())
}

fn decoded(part: &str) -> Value {
    serde_json::from_slice(&BASE64.decode(part).unwrap()).unwrap()
}

/// A token with these parts, signed as HS256 with `secret`.
fn forged(header: &Value, claims: &Value, secret: &[u8]) -> String {
    let message = format!("{}.{}", encoded(header), encoded(claims));
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    let signature = BASE64.encode(hmac::sign(&key, message.as_bytes()));
    format!("{message}.{signature}")
}

/// Header and claims of a good token.
fn parts(token: &str) -> (Value, Value) {
    let parts: Vec<&str> = token.split('.').collect();
    (decoded(parts[0]), decoded(parts[1]))
}

async fn good(client: &Client) -> String {
    client.tokens("anne").await["access_token"].as_str().unwrap().to_owned()
}

async fn status(client: &Client, token: &str) -> StatusCode {
    client.bearing(token).get("/v1/sources").await.status
}

#[tokio::test]
async fn only_a_token_that_says_what_it_must_is_taken() {
    let world = World::with_people();
    let client = world.client();
    let token = good(&client).await;
    let (header, claims) = parts(&token);
    // That the forger can do it right: otherwise nothing below shows anything.
    let again = forged(&header, &claims, SECRET.as_bytes());
    assert_eq!(status(&client, &again).await, StatusCode::OK);

    let claim = |name: &str, value: Value| {
        let mut claims = claims.clone();
        claims[name] = value;
        claims
    };
    let without = |name: &str| {
        let mut claims = claims.clone();
        claims.as_object_mut().unwrap().remove(name);
        claims
    };
    for (what, claims) in [
        ("expired", claim("exp", json!(noon() - 31))),
        ("expires before time began", claim("exp", json!(i64::MIN))),
        ("not yet valid", claim("nbf", json!(noon() + 31))),
        ("another issuer", claim("iss", json!("animov.example"))),
        ("another audience", claim("aud", json!("elsewhere"))),
        ("another user's login", claim("sub", json!("vera"))),
        ("no such login", claim("sid", json!("0b9d3c4e-6a55-4f0e-9a62-6f5d8a3c7b11"))),
        ("a login that is none", claim("sid", json!("' OR 1=1 --"))),
        ("a later generation", claim("generation", json!(2))),
        ("an expiry that is none", claim("exp", json!("never"))),
        ("no expiry", without("exp")),
        ("no beginning", without("nbf")),
        ("no issuer", without("iss")),
        ("no audience", without("aud")),
        ("no user", without("sub")),
        ("no login", without("sid")),
    ] {
        let token = forged(&header, &claims, SECRET.as_bytes());
        assert_eq!(status(&client, &token).await, StatusCode::UNAUTHORIZED, "{what}");
    }
    for (what, claims) in [
        ("within the clocks' difference", claim("exp", json!(noon() - 29))),
        ("nearly valid", claim("nbf", json!(noon() + 29))),
        // Who may do what is asked of the tables.
        ("a role that it gives itself", claim("role", json!("root"))),
    ] {
        let token = forged(&header, &claims, SECRET.as_bytes());
        assert_eq!(status(&client, &token).await, StatusCode::OK, "{what}");
    }
}

#[tokio::test]
async fn no_header_changes_how_a_token_is_checked() {
    let world = World::with_people();
    let client = world.client();
    let token = good(&client).await;
    let (header, claims) = parts(&token);
    let set = |name: &str, value: Value| {
        let mut header = header.clone();
        header[name] = value;
        header
    };
    let mut nameless = header.clone();
    nameless.as_object_mut().unwrap().remove("kid");
    for (what, header) in [
        ("none", set("alg", json!("none"))),
        ("None", set("alg", json!("None"))),
        ("another length", set("alg", json!("HS512"))),
        ("another kind", set("alg", json!("RS256"))),
        ("no such kind", set("alg", json!("HS1"))),
        ("an unknown key", set("kid", json!("secret-0000000000000000"))),
        ("a key from a path", set("kid", json!("../../../../dev/null"))),
        ("a key from a query", set("kid", json!("x' UNION SELECT 'secret"))),
        ("no key's name", nameless),
    ] {
        for secret in [SECRET.as_bytes(), b"", b"secret"] {
            let token = forged(&header, &claims, secret);
            assert_eq!(status(&client, &token).await, StatusCode::UNAUTHORIZED, "{what}");
        }
        let unsigned = format!("{}.{}.", encoded(&header), encoded(&claims));
        assert_eq!(status(&client, &unsigned).await, StatusCode::UNAUTHORIZED, "{what}");
    }
    // A key that the token brings along.
    let own = b"the attacker's own secret of thirty-two and more";
    let jwk = json!({"kty": "oct", "k": BASE64.encode(own), "alg": "HS256"});
    let token = forged(&set("jwk", jwk), &claims, own);
    assert_eq!(status(&client, &token).await, StatusCode::UNAUTHORIZED);
    let token = forged(&header, &claims, own);
    assert_eq!(status(&client, &token).await, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn one_changed_byte_is_one_too_many() {
    let world = World::with_people();
    let client = world.client();
    let token = good(&client).await;
    for at in (0..token.len()).step_by(7) {
        let mut bytes = token.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        // The last character of a part has bits that say nothing.
        let changed = String::from_utf8(bytes).unwrap();
        if token.as_bytes().get(at + 1) == Some(&b'.') || at + 1 == token.len() {
            continue;
        }
        assert_eq!(status(&client, &changed).await, StatusCode::UNAUTHORIZED, "byte {at}");
    }
    for changed in
        [format!("{token}A"), format!("{token}."), format!(".{token}"), token.replace('.', "")]
    {
        assert_eq!(status(&client, &changed).await, StatusCode::UNAUTHORIZED, "{changed}");
    }
    assert_eq!(status(&client, &token).await, StatusCode::OK);
}

/// A key made by openssl, and its public half as PEM.
fn key_file(dir: &std::path::Path, id: &str, algorithm: &[&str]) -> (KeyConfig, Vec<u8>) {
    let file = dir.join(format!("{id}.pem"));
    let made = std::process::Command::new("openssl")
        .args(["genpkey", "-quiet", "-algorithm"])
        .args(algorithm)
        .arg("-out")
        .arg(&file)
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let public = std::process::Command::new("openssl")
        .args(["pkey", "-pubout", "-in"])
        .arg(&file)
        .output()
        .unwrap();
    let algorithm = match algorithm[0] {
        "ed25519" => KeyAlgorithm::EdDSA,
        _ => KeyAlgorithm::RS256,
    };
    (KeyConfig { id: id.to_owned(), algorithm, file }, public.stdout)
}

const RSA: &[&str] = &["RSA", "-pkeyopt", "rsa_keygen_bits:2048"];

#[tokio::test]
async fn keys_in_files_sign_and_their_public_halves_are_no_secrets() {
    let dir = tempfile::tempdir().unwrap();
    let (ed, ed_public) = key_file(dir.path(), "ed-1", &["ed25519"]);
    let (rsa, rsa_public) = key_file(dir.path(), "rsa-1", RSA);
    for (first, second, public, algorithm) in
        [(&ed, &rsa, &ed_public, "EdDSA"), (&rsa, &ed, &rsa_public, "RS256")]
    {
        let mut world = World::with_people();
        world.config.auth.key = vec![first.clone(), second.clone()];
        // The secret beside them is still good to check with, and does not sign.
        let old = good(&world.client()).await;
        world.keys = Some(keys(&world.config.auth, SECRET));
        let client = world.client();
        assert_eq!(status(&client, &old).await, StatusCode::OK);
        let token = good(&client).await;
        let (header, claims) = parts(&token);
        assert_eq!(header, json!({"typ": "JWT", "alg": algorithm, "kid": first.id}));
        assert_eq!(status(&client, &token).await, StatusCode::OK);
        // The public key is known to everybody: as PEM, and as what is in it.
        let der: Vec<u8> = String::from_utf8(public.clone())
            .unwrap()
            .lines()
            .filter(|line| !line.starts_with('-'))
            .flat_map(|line| base64::engine::general_purpose::STANDARD.decode(line).unwrap())
            .collect();
        for secret in [&public[..], &der, &der[12..], &der[24..]] {
            let header = json!({"typ": "JWT", "alg": "HS256", "kid": first.id});
            let confused = forged(&header, &claims, secret);
            assert_eq!(status(&client, &confused).await, StatusCode::UNAUTHORIZED);
        }
        // The first key's signature under the other key's name.
        let (head, rest) = token.split_once('.').unwrap();
        let mut other = decoded(head);
        other["kid"] = json!(second.id);
        let other = format!("{}.{rest}", encoded(&other));
        assert_eq!(status(&client, &other).await, StatusCode::UNAUTHORIZED);
        // When it is out of the configuration, so are its tokens.
        world.config.auth.key = vec![second.clone()];
        world.keys = Some(keys(&world.config.auth, SECRET));
        assert_eq!(status(&world.client(), &token).await, StatusCode::UNAUTHORIZED);
    }
}

#[test]
fn a_key_that_is_none_is_refused_with_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let (rsa, _) = key_file(dir.path(), "rsa", RSA);
    let (short, _) = key_file(dir.path(), "short", &["RSA", "-pkeyopt", "rsa_keygen_bits:1024"]);
    let text = dir.path().join("text.pem");
    std::fs::write(&text, "no key").unwrap();
    let as_ed = KeyConfig { algorithm: KeyAlgorithm::EdDSA, ..rsa };
    let no_pem = KeyConfig { id: "text".into(), file: text, ..as_ed.clone() };
    let missing = KeyConfig { file: dir.path().join("missing.pem"), ..as_ed.clone() };
    for (key, told) in [
        (as_ed, "is no key for EdDSA"),
        (short, "is no key for RS256"),
        (no_pem, "no PEM of a private key"),
        (missing, "no PEM of a private key"),
    ] {
        let config = AuthConfig { key: vec![key], ..AuthConfig::default() };
        let faults = Keys::load(&config, |_| None).unwrap_err();
        let fault = faults[0].to_string();
        assert!(fault.contains(told), "{fault}");
        assert!(fault.contains(dir.path().to_str().unwrap()), "{fault}");
    }
    let short = Keys::load(&AuthConfig::default(), |_| Some("x".repeat(31))).unwrap_err();
    assert!(short[0].to_string().contains("ANIMOV_AUTH_SECRET has 31 bytes"), "{}", short[0]);
    let only_old = |name: &str| (name == api::OLD_SECRET_ENV).then(|| "x".repeat(32));
    assert_eq!(Keys::load(&AuthConfig::default(), only_old).unwrap_err().len(), 1);
    assert!(Keys::load(&AuthConfig::default(), |_| None).unwrap().is_none());
}

/// What breaks out of a text, a path or a line where that is possible.
const HOSTILE: [&str; 12] = [
    "'",
    "1' OR '1'='1",
    "1; DROP TABLE users; --",
    "\" OR 1=1 --",
    "1 UNION SELECT password FROM users",
    "%00",
    "../../../../etc/passwd",
    "..%2f..%2fetc%2fpasswd",
    "{\"$gt\": 0}",
    "%0d%0aset-cookie:%20a=b",
    "9999999999999999999999",
    "\u{202e}\u{1f410}",
];

fn percent_encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte.is_ascii_alphanumeric() || byte == b'%' {
            true => char::from(byte).to_string(),
            false => format!("%{byte:02X}"),
        })
        .collect()
}

#[tokio::test]
async fn every_parameter_of_every_route_takes_hostile_texts_for_what_they_are() {
    let world = World::with_people();
    let client = world.client().logged_in("anne").await;
    let document: Value = serde_json::from_str(api::openapi_json()).unwrap();
    let mut asked = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        let Some(operation) = item.get("get") else { continue };
        let documented = operation["responses"].as_object().unwrap();
        for parameter in operation["parameters"].as_array().unwrap_or(&Vec::new()) {
            let name = parameter["name"].as_str().unwrap();
            for hostile in HOSTILE {
                let hostile = percent_encoded(hostile);
                let filled = |own: &str, usual: &str| {
                    if own == name { hostile.clone() } else { usual.to_owned() }
                };
                let mut url = path
                    .replace("{source}", &filled("source", "1"))
                    .replace("{size}", &filled("size", "1m"))
                    .replace(
                        "{session}",
                        &filled("session", "0b9d3c4e-6a55-4f0e-9a62-6f5d8a3c7b11"),
                    )
                    .replace("{seq}", &filled("seq", "0"))
                    .replace("{n}", &filled("n", "0"));
                if parameter["in"] == "query" {
                    url = format!("{url}?{name}={hostile}");
                }
                let answer = client.get(&url).await;
                let status = answer.status.as_u16().to_string();
                assert!(
                    answer.status.is_success() || answer.status.is_client_error(),
                    "{url}: {answer:?}"
                );
                assert!(documented.contains_key(&status) || status == "404", "{url}: {status}");
                assert_eq!(answer.header("set-cookie"), "", "{url}");
                assert!(!answer.body.contains("argon2id"), "{url}");
                asked += 1;
            }
        }
    }
    assert!(500 < asked, "{asked}");
    assert_eq!(world.people.kept().users.len(), 5);
}

#[tokio::test]
async fn hostile_names_and_passwords_are_only_wrong() {
    let mut world = World::with_people();
    world.config.auth.login_tries = std::num::NonZeroU32::new(1000).unwrap();
    let client = world.client();
    for hostile in HOSTILE {
        for (name, password) in [(hostile, "correct horse"), ("anne", hostile)] {
            let asked = json!({"grant_type": "password", "username": name, "password": password});
            let answer = client.token(&asked).await;
            assert!(answer.problem().starts_with("401 wrong-login"), "{asked}: {answer:?}");
        }
        let asked = json!({"grant_type": "refresh_token", "refresh_token": hostile});
        assert_eq!(client.token(&asked).await.status, StatusCode::UNAUTHORIZED, "{asked}");
    }
}

#[tokio::test]
async fn tricks_with_paths_lead_nowhere_else() {
    let client = World::with_people().client();
    let vic = client.logged_in("vic").await;
    for path in [
        "/v1/sources/2/../1/windows/1m",
        "/v1/sources/2%2f..%2f1/windows/1m",
        "/v1//sources/1/windows/1m",
        "/V1/sources/1/windows/1m",
        "/docs/../v1/sources/1/windows/1m",
        "/docs/..%2fv1%2fsources",
        "/healthz/../v1/audit",
        "/healthz%2f..%2fv1%2faudit",
        "/app.js/../v1/audit",
        "/v1/audit.js",
        "/v1/audit;/healthz",
        "/docs/%2e%2e/%2e%2e/etc/passwd",
        "/v1/sources/01/windows/1m",
        "/v1/sources/%2B1%20/windows/1m",
        "/v1/snapshots/1%2f0b9d3c4e-6a55-4f0e-9a62-6f5d8a3c7b11/x/0",
    ] {
        for client in [&client, &vic] {
            let answer = client.get(path).await;
            let refused = [400, 401, 403, 404].contains(&answer.status.as_u16());
            assert!(refused, "{path}: {answer:?}");
            assert!(!answer.body.contains("\"frames\""), "{path}");
        }
    }
}

#[tokio::test]
async fn whether_a_user_exists_does_not_show_in_the_time() {
    let mut world = World::with_people();
    world.config.auth.login_tries = std::num::NonZeroU32::new(1000).unwrap();
    let client = world.client();
    let time = async |name: &str| {
        let asked = json!({"grant_type": "password", "username": name, "password": "wrong horse"});
        let begun = std::time::Instant::now();
        assert_eq!(client.token(&asked).await.status, StatusCode::UNAUTHORIZED);
        begun.elapsed()
    };
    // The first makes the hash that stands for nobody's.
    time("nobody").await;
    // The fastest of each is the least disturbed, and on a busy machine that takes some
    // tries; to skip the hash would be a hundred times as fast, however often.
    let mut fastest = [f64::INFINITY; 3];
    for _ in 0..60 {
        for (fastest, name) in fastest.iter_mut().zip(["anne", "nobody", "No Name"]) {
            *fastest = fastest.min(time(name).await.as_secs_f64());
        }
        let [known, ..] = fastest;
        if fastest.iter().all(|other| known / 3.0 < *other && *other < known * 3.0) {
            return;
        }
    }
    panic!("a known user, an unknown one, and no name take {fastest:?} s");
}
