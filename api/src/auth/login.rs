//! Logging in, going on, and logging out.
//!
//! # Invariants
//!
//! - A wrong name, a wrong password and a disabled user are one answer, after the
//!   same work.
//! - A failure counts before the password is looked at (see [`super::limit`]).

use std::net::IpAddr;
use std::time::Instant;

use axum::Json;
use axum::extract::{Query, Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderValue, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use schemas::time::{UnixMillis, millis};
use schemas::users::{Login, Renewal, Scope, User, UserName};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::identity::{self, address};
use super::logins::{Line, told};
use super::secret::Refresh;
use super::{Keys, not_from_a_foreign_page, password};
use crate::body;
use crate::error::{ApiError, Problem};
use crate::state::Api;

/// Bytes of a login, at most.
const BODY_BYTES_MAX: usize = 16 << 10;

/// What to log in with: either name and password, or a refresh token.
#[derive(Deserialize, ToSchema)]
#[schema(example = json!({"grant_type": "password", "username": "anne", "password": "…"}))]
struct Asked {
    /// `password` or `refresh_token`.
    #[schema(example = "password")]
    grant_type: String,
    username: Option<String>,
    password: Option<String>,
    refresh_token: Option<String>,
}

/// Tokens of a login.
#[derive(Serialize, ToSchema)]
pub(crate) struct Tokens {
    /// For the header `Authorization: Bearer …`.
    access_token: String,
    #[schema(example = "Bearer")]
    token_type: &'static str,
    /// Seconds until the access token expires.
    #[schema(example = 600)]
    expires_in: i64,
    /// Good once, for the next tokens.
    refresh_token: String,
    /// Seconds until the login expires, if it is not refreshed.
    refresh_expires_in: i64,
    #[schema(example = "viewer")]
    role: &'static str,
    /// The sources that the user may see; null for all.
    sources: Option<Vec<i32>>,
}

/// Gives tokens for a name and password, or for a refresh token.
///
/// A refresh token is good once: its answer has the next one. If one comes again,
/// somebody else has it too, and the whole login ends.
#[utoipa::path(
    post,
    path = "/v1/auth/token",
    request_body(content(
        (Asked = "application/json"),
        (Asked = "application/x-www-form-urlencoded"),
    )),
    responses(
        (status = 200, description = "The tokens.", body = Tokens),
        (status = 400, body = Problem, content_type = "application/problem+json",
         description = "The body is not such a request, or broke off."),
        (status = 401, body = Problem, content_type = "application/problem+json",
         description = "Not that name and password, or the refresh token is no longer good."),
        (status = 403, body = Problem, content_type = "application/problem+json",
         description = "A web page of another origin sent it."),
        (status = 404, body = Problem, content_type = "application/problem+json",
         description = "Nobody can log in to this server: it has no keys."),
        (status = 408, body = Problem, content_type = "application/problem+json",
         description = "The body did not arrive in time."),
        (status = 413, body = Problem, content_type = "application/problem+json",
         description = "Too many bytes."),
        (status = 415, body = Problem, content_type = "application/problem+json",
         description = "Neither JSON nor a form by its content type."),
        (status = 429, body = Problem, content_type = "application/problem+json",
         description = "Too many failed; Retry-After says when to try again."),
        (status = 503, body = Problem, content_type = "application/problem+json",
         description = "The tables are away, or too many log in at one time."),
    ),
    security(()),
    tag = "auth",
)]
pub(super) async fn give_token(
    State(api): State<Api>,
    request: Request,
) -> Result<Response, ApiError> {
    not_from_a_foreign_page(request.uri(), request.headers(), &api)?;
    let keys = api.keys().ok_or(ApiError::NoLogins)?.clone();
    let from = address(&api, request.headers(), request.extensions().get());
    let asked = read(&api, request).await?;
    let (user, refresh) = match (&*asked.grant_type, &asked) {
        ("password", Asked { username: Some(name), password: Some(password), .. }) => {
            with_password(&api, name, password, from).await?
        }
        ("refresh_token", Asked { refresh_token: Some(text), .. }) => {
            with_refresh(&api, text, from).await?
        }
        ("password" | "refresh_token", _) => {
            let detail = "grant_type password goes with username and password, refresh_token \
                          with refresh_token";
            return Err(ApiError::BadLogin(detail.to_owned()));
        }
        _ => {
            let detail = "grant_type is password or refresh_token".to_owned();
            return Err(ApiError::BadLogin(detail));
        }
    };
    answer(&api, &keys, &user, &refresh)
}

fn answer(api: &Api, keys: &Keys, user: &User, refresh: &Refresh) -> Result<Response, ApiError> {
    let now = api.clock().now();
    let access_token = keys.sign(user, refresh.login, now).map_err(|error| {
        tracing::error!(%error, "an access token could not be signed");
        ApiError::Unsigned
    })?;
    let tokens = Tokens {
        access_token,
        token_type: "Bearer",
        expires_in: keys.ttl_s(),
        refresh_token: refresh.text(),
        refresh_expires_in: millis(api.config().auth.refresh_ttl) / 1000,
        role: user.role.name(),
        sources: listed(&user.scope),
    };
    let mut response = Json(tokens).into_response();
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

fn listed(scope: &Scope) -> Option<Vec<i32>> {
    match scope {
        Scope::All => None,
        Scope::Only(sources) => Some(sources.iter().map(|source| source.get()).collect()),
    }
}

/// Reads JSON, or a form as OAuth 2 has it.
async fn read(api: &Api, request: Request) -> Result<Asked, ApiError> {
    let given = request.headers().get(CONTENT_TYPE).and_then(|given| given.to_str().ok());
    let essence = given.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    let is_form = essence.eq_ignore_ascii_case("application/x-www-form-urlencoded");
    if !is_form && !essence.eq_ignore_ascii_case("application/json") {
        let given = given.unwrap_or("of no named type").chars().take(100).collect::<String>();
        return Err(ApiError::NotALogin { given });
    }
    let body = body::read_body(api, request, BODY_BYTES_MAX).await?;
    let asked = if is_form { from_form(&body) } else { serde_json::from_slice(&body).ok() };
    // Not what the parser says: it may quote the password.
    asked.ok_or_else(|| {
        ApiError::BadLogin(
            "it is an object {grant_type, username, password}, or such a form".into(),
        )
    })
}

fn from_form(body: &[u8]) -> Option<Asked> {
    // What a form may hold as it is, and a URI's query may not; a `#` would even end it.
    let escaped = |byte: &u8| match byte {
        b'!' | b'$'..=b';' | b'=' | b'?'..=b'~' => char::from(*byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    let form: String = body.iter().map(escaped).collect();
    let uri: Uri = format!("/?{form}").parse().ok()?;
    Query::<Asked>::try_from_uri(&uri).ok().map(|Query(asked)| asked)
}

/// Begins a login.
async fn with_password(
    api: &Api,
    given: &str,
    password: &str,
    from: Option<IpAddr>,
) -> Result<(User, Refresh), ApiError> {
    let logins = api.logins();
    let name = given.parse::<UserName>().ok();
    // Names that nobody can have share one counter.
    let keys = logins.failing(name.as_ref().map_or("", UserName::as_str), from);
    let who = told(given);
    if let Err(wait) = logins.limit().begin(&keys, Instant::now()) {
        api.metrics().logins.with_label_values(&["limited"]).inc();
        tracing::warn!(user = who, ?from, "too many failed logins");
        return Err(ApiError::TooManyTries { seconds: wait.as_secs().max(1) });
    }
    let user = match checked(api, name, password).await {
        Ok(Some(user)) => {
            logins.limit().succeeded(&keys);
            user
        }
        Ok(None) => {
            let line = Line { who: &who, from, what: "login", result: "wrong name or password" };
            logins.note(api, line).await;
            api.metrics().logins.with_label_values(&["refused"]).inc();
            return Err(ApiError::WrongLogin);
        }
        Err(error) => {
            // Nobody has failed but us.
            logins.limit().succeeded(&keys);
            return Err(error);
        }
    };
    let refresh = Refresh::first().map_err(|_| ApiError::Unsigned)?;
    let (begun_at, expires_at) = lasting(api);
    let login = Login {
        id: refresh.login,
        user: user.name.clone(),
        generation: user.generation,
        digests: refresh.digests(),
        begun_at,
        expires_at,
    };
    api.users(move |users| users.begin_login(&login)).await?;
    logins.note(api, Line { who: &who, from, what: "login", result: "ok" }).await;
    api.metrics().logins.with_label_values(&["ok"]).inc();
    Ok((user, refresh))
}

/// The user of that name, if the password is right and the user is enabled.
async fn checked(
    api: &Api,
    name: Option<UserName>,
    password: &str,
) -> Result<Option<User>, ApiError> {
    let found = match name {
        Some(name) => api.users(move |users| users.user(&name)).await?,
        None => None,
    };
    let _place = api.logins().hashes().acquire().await.map_err(|_| ApiError::Busy)?;
    let (hash, password) = (found.as_ref().map(|user| user.password.clone()), password.to_owned());
    let is_right =
        api.off_the_loop(move || password::is_password(&password, hash.as_ref())).await?;
    Ok(found.filter(|user| is_right && user.enabled))
}

/// Goes on with a login.
async fn with_refresh(
    api: &Api,
    text: &str,
    from: Option<IpAddr>,
) -> Result<(User, Refresh), ApiError> {
    let presented = Refresh::parse(text).ok_or(ApiError::RefreshRefused)?;
    let next = presented.next().map_err(|_| ApiError::Unsigned)?;
    let (login, digests) = (presented.login, presented.digests());
    let (newest, (now, expires_at)) = (next.digests().newest, lasting(api));
    let renewal = api
        .users(move |users| users.renew_login(login, &digests, &newest, now, expires_at))
        .await?;
    match renewal {
        Renewal::Renewed(user) => Ok((user, next)),
        Renewal::Reused(user) => {
            api.logins().forget(login);
            tracing::warn!(%user, ?from, "a refresh token came a second time; its login has ended");
            let result = "used before: the login has ended";
            let line = Line { who: user.as_str(), from, what: "refresh", result };
            api.logins().note(api, line).await;
            Err(ApiError::RefreshRefused)
        }
        Renewal::Refused => Err(ApiError::RefreshRefused),
    }
}

/// Now, and when a login that is begun or renewed now expires.
fn lasting(api: &Api) -> (UnixMillis, UnixMillis) {
    let now = api.clock().now();
    (now, now.plus(api.config().auth.refresh_ttl))
}

/// What to log out.
#[derive(Deserialize, ToSchema)]
struct Ended {
    refresh_token: String,
}

/// Ends a login: that of the refresh token in the body, or, without a body, that of
/// the access token. Its tokens are no longer good.
#[utoipa::path(
    post,
    path = "/v1/auth/revoke",
    request_body(content = Option<Ended>, content_type = "application/json"),
    responses(
        (status = 204, description = "The login has ended, or there was none."),
        (status = 400, body = Problem, content_type = "application/problem+json",
         description = "The body is not such a request, or broke off."),
        (status = 401, body = Problem, content_type = "application/problem+json",
         description = "Neither a refresh token nor an access token."),
        (status = 403, body = Problem, content_type = "application/problem+json",
         description = "A web page of another origin sent it."),
        (status = 404, body = Problem, content_type = "application/problem+json",
         description = "Nobody can log in to this server: it has no keys."),
        (status = 408, body = Problem, content_type = "application/problem+json",
         description = "The body did not arrive in time."),
        (status = 413, body = Problem, content_type = "application/problem+json",
         description = "Too many bytes."),
        (status = 503, body = Problem, content_type = "application/problem+json",
         description = "The tables are away."),
    ),
    security((), ("login" = []), ("bearer" = [])),
    tag = "auth",
)]
pub(super) async fn revoke(
    State(api): State<Api>,
    request: Request,
) -> Result<StatusCode, ApiError> {
    not_from_a_foreign_page(request.uri(), request.headers(), &api)?;
    api.keys().ok_or(ApiError::NoLogins)?;
    let from = address(&api, request.headers(), request.extensions().get());
    let (parts, body) = request.into_parts();
    let caller = identity::of(&parts);
    let body = body::read_body(&api, Request::from_parts(parts, body), BODY_BYTES_MAX).await?;
    let (login, who) = if body.is_empty() {
        let caller = caller?;
        let login = caller.login.ok_or(ApiError::Unauthenticated { presented: true })?;
        (login, caller.name.to_string())
    } else {
        let expected = || ApiError::BadLogin("it is an object {refresh_token}, or nothing".into());
        let Ended { refresh_token } = serde_json::from_slice(&body).map_err(|_| expected())?;
        // Whoever can renew a login may end it.
        match with_refresh(&api, &refresh_token, from).await {
            Ok((user, refresh)) => (refresh.login, user.name.to_string()),
            Err(ApiError::RefreshRefused) => return Ok(StatusCode::NO_CONTENT),
            Err(error) => return Err(error),
        }
    };
    if api.users(move |users| users.end_login(login)).await? {
        api.logins().note(&api, Line { who: &who, from, what: "logout", result: "ok" }).await;
    }
    api.logins().forget(login);
    Ok(StatusCode::NO_CONTENT)
}

/// Who asks.
#[derive(Serialize, ToSchema)]
pub(crate) struct Me {
    /// The user's name, or that of a producer's token.
    #[schema(example = "anne")]
    name: String,
    #[schema(example = "viewer")]
    role: &'static str,
    /// The sources that the user may see; null for all.
    sources: Option<Vec<i32>>,
    /// Whether people log in to this server by name and password.
    logins: bool,
}

/// Tells who asks.
#[utoipa::path(
    get,
    path = "/v1/auth/me",
    responses(
        (status = 200, description = "Who asks, and what for.", body = Me),
        (status = 401, body = Problem, content_type = "application/problem+json",
         description = "The token is missing or wrong."),
        (status = 503, body = Problem, content_type = "application/problem+json",
         description = "The tables are away."),
    ),
    tag = "auth",
)]
pub(super) async fn tell_me(
    State(api): State<Api>,
    request: Request,
) -> Result<Json<Me>, ApiError> {
    let (parts, _) = request.into_parts();
    let caller = identity::of(&parts)?;
    Ok(Json(Me {
        name: caller.name.to_string(),
        role: caller.role.name(),
        sources: listed(&caller.scope),
        logins: api.keys().is_some(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_takes_a_password_as_it_is_typed() {
        let password = |form: &str| from_form(form.as_bytes()).and_then(|asked| asked.password);
        let form =
            |password: &str| format!("grant_type=password&username=anne&password={password}");
        for (given, meant) in [
            ("barn#7-gate", "barn#7-gate"),
            ("barn 7 \"gate\" <x>", "barn 7 \"gate\" <x>"),
            ("barn+7%2B%26", "barn 7+&"),
            ("z\u{e9}ro", "z\u{e9}ro"),
        ] {
            assert_eq!(password(&form(given)).as_deref(), Some(meant));
        }
    }
}
