//! Users, tokens and the log, as tables or JSON.

use std::io::{self, Write};

use schemas::users::{Entry, IngestToken, User, UserStore};
use serde_json::{Value, json};

use crate::exit::Exit;
use crate::output;

/// Lines that are read together.
const RUN: u32 = 1000;

pub(super) fn users(store: &dyn UserStore, as_json: bool) -> anyhow::Result<Exit> {
    let users = store.users()?;
    let value = |user: &User| {
        json!({
            "name": user.name.as_str(), "role": user.role.name(),
            "sources": user.scope.to_string(), "enabled": user.enabled,
            "created_at": user.created_at.to_string(), "changed_at": user.changed_at.to_string(),
        })
    };
    let row = |user: &User, out: &mut output::Output| {
        let User { name, role, scope, enabled, changed_at, .. } = user;
        let state = if *enabled { "enabled" } else { "disabled" };
        let changed_at = changed_at.to_string();
        writeln!(
            out,
            "{:<24} {:<9} {state:<9} {changed_at:<25} {scope}",
            name.as_str(),
            role.name()
        )
    };
    let head = format!("{:<24} {:<9} {:<9} {:<25} sources", "name", "role", "", "changed");
    print(&users, as_json, &head, value, row)
}

pub(super) fn tokens(store: &dyn UserStore, as_json: bool) -> anyhow::Result<Exit> {
    let tokens = store.tokens()?;
    let end = |token: &IngestToken| token.expires_at.map(|end| end.to_string());
    let value = |token: &IngestToken| {
        json!({
            "name": token.name.as_str(), "sources": token.scope.to_string(),
            "created_at": token.created_at.to_string(), "expires_at": end(token),
        })
    };
    let row = |token: &IngestToken, out: &mut output::Output| {
        let (name, created_at) = (token.name.as_str(), token.created_at.to_string());
        let end = end(token).unwrap_or_else(|| "never".to_owned());
        writeln!(out, "{name:<24} {created_at:<25} {end:<25} {}", token.scope)
    };
    let head = format!("{:<24} {:<25} {:<25} sources", "name", "created", "expires");
    print(&tokens, as_json, &head, value, row)
}

pub(super) fn log(store: &dyn UserStore, limit: u32, as_json: bool) -> anyhow::Result<Exit> {
    let (mut lines, mut before) = (Vec::new(), None);
    loop {
        let missing = limit.saturating_sub(u32::try_from(lines.len()).unwrap_or(u32::MAX));
        let found = store.entries(before, missing.min(RUN))?;
        let Some((oldest, _)) = found.last() else { break };
        before = Some(*oldest);
        lines.extend(found);
    }
    lines.reverse();
    let value = |(id, entry): &(u64, Entry)| {
        json!({
            "id": id, "at": entry.at.to_string(), "who": entry.who, "from": entry.from,
            "what": entry.what, "whom": entry.whom, "result": entry.result,
        })
    };
    let row = |(_, entry): &(u64, Entry), out: &mut output::Output| {
        let Entry { at, who, from, what, whom, result } = entry;
        let what = format!("{what} {whom}");
        writeln!(out, "{:<25} {who:<16} {from:<24} {:<32} {result}", at.to_string(), what.trim())
    };
    let head = format!("{:<25} {:<16} {:<24} {:<32} result", "at", "who", "from", "what");
    print(&lines, as_json, &head, value, row)
}

fn print<T>(
    items: &[T],
    as_json: bool,
    head: &str,
    value: impl Fn(&T) -> Value,
    row: impl Fn(&T, &mut output::Output) -> io::Result<()>,
) -> anyhow::Result<Exit> {
    let mut out = output::open(None)?;
    let written = match as_json {
        true => {
            let all: Vec<Value> = items.iter().map(value).collect();
            writeln!(out, "{:#}", Value::Array(all))
        }
        false => writeln!(out, "{head}")
            .and_then(|()| items.iter().try_for_each(|item| row(item, &mut out))),
    };
    output::unless_closed(written.and_then(|()| out.flush()))?;
    Ok(Exit::Ok)
}
