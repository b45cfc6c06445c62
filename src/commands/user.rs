//! `animov user`: who may log in, and which producers may append frames.

mod ask;
mod list;
mod token;

use std::io::Write;

use anyhow::{Context, bail};
use clap::Subcommand;
use prometheus::Registry;
use schemas::time::{Clock, SystemClock, UnixMillis};
use schemas::users::{Entry, Scope, User, UserChange, UserName, UserRole, UserStore};

use crate::config::{Config, Place};
use crate::exit::Exit;
use crate::{output, parts};

/// Says who may log in, and which producers may append frames.
///
/// Users log in on the page, or with POST /v1/auth/token. For that the server needs a
/// secret of at least 32 characters in `ANIMOV_AUTH_SECRET`, or an `[[api.auth.key]]` in
/// its configuration. A change is noticed by running servers within api.auth.recheck, two
/// seconds if nobody says otherwise. Everything done here is in the log that `animov
/// user log` shows.
///
/// A password is asked for on the terminal, without showing it; or it is the first line
/// of standard input, or in `ANIMOV_USER_PASSWORD`. It is never an argument: other users of
/// the machine can read those.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  animov user add anne --role admin
  animov user add pen-two --role viewer --sources 3,4 < password.txt
  animov user token add barn-pc --sources 1,2
  animov user log --limit 20")]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Adds a user; asks for the password
    Add(Add),
    /// Lists users
    List(Listed),
    /// Gives a user another role, or other sources
    Change(Change),
    /// Gives a user a new password, and ends all of the user's logins
    Passwd(Named),
    /// Ends all of a user's logins, and lets the user not log in any more
    Disable(Named),
    /// Lets a disabled user log in again
    Enable(Named),
    /// The tokens of producers
    Token(token::Args),
    /// Shows who logged in and who changed what, the newest last
    Log(Logged),
}

#[derive(clap::Args, Debug)]
struct Add {
    #[command(flatten)]
    of: Named,

    /// viewer reads, operator also changes things, ingest only appends frames, admin does
    /// everything
    #[arg(long, value_name = "ROLE")]
    role: UserRole,

    /// The sources that the user may see: numbers with commas between, or `all`
    #[arg(long, value_name = "SOURCES", default_value = "all")]
    sources: Scope,
}

#[derive(clap::Args, Debug)]
struct Change {
    #[command(flatten)]
    of: Named,

    /// viewer, operator, ingest or admin
    #[arg(long, value_name = "ROLE", required_unless_present = "sources")]
    role: Option<UserRole>,

    /// The sources that the user may see: numbers with commas between, or `all`
    #[arg(long, value_name = "SOURCES")]
    sources: Option<Scope>,
}

#[derive(clap::Args, Debug)]
struct Named {
    #[command(flatten)]
    place: Place,

    /// The name: lower-case letters, digits, `.`, `_`, `-` and `@`
    name: UserName,
}

#[derive(clap::Args, Debug)]
struct Listed {
    #[command(flatten)]
    place: Place,

    /// Print one JSON array instead of a table
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args, Debug)]
struct Logged {
    #[command(flatten)]
    list: Listed,

    /// So many lines at most
    #[arg(long, value_name = "LINES", default_value_t = 100)]
    limit: u32,
}

/// Does it.
///
/// # Errors
///
/// The tables cannot be reached, there is no such user, or a password is none.
pub(crate) fn run(args: &Args) -> anyhow::Result<Exit> {
    match &args.what {
        What::Add(add) => add_user(add),
        What::List(Listed { place, json }) => list::users(&*to_read(place)?, *json),
        What::Change(change) => {
            let site = Site::open(&change.of.place)?;
            let mut told = Vec::new();
            if let Some(role) = change.role {
                site.change(&change.of.name, "role", &UserChange::Role(role))?;
                told.push(format!("is {role}"));
            }
            if let Some(scope) = &change.sources {
                site.change(&change.of.name, "sources", &UserChange::Scope(scope.clone()))?;
                told.push(format!("may see {scope}"));
            }
            tell(&format!("{} {}", change.of.name, told.join(" and ")))
        }
        What::Passwd(Named { place, name }) => {
            let site = Site::open(place)?;
            if site.users.user(name)?.is_none() {
                return Err(no_such(name));
            }
            let hash = api::hash_password(&ask::password()?)?;
            site.change(name, "password", &UserChange::Password(hash))?;
            tell(&format!("{name} has a new password; all logins have ended"))
        }
        What::Disable(Named { place, name }) => {
            Site::open(place)?.change(name, "disable", &UserChange::Enabled(false))?;
            tell(&format!("{name} cannot log in; all logins have ended"))
        }
        What::Enable(Named { place, name }) => {
            Site::open(place)?.change(name, "enable", &UserChange::Enabled(true))?;
            tell(&format!("{name} can log in"))
        }
        What::Token(args) => token::run(args),
        What::Log(Logged { list: Listed { place, json }, limit }) => {
            list::log(&*to_read(place)?, *limit, *json)
        }
    }
}

fn add_user(add: &Add) -> anyhow::Result<Exit> {
    let site = Site::open(&add.of.place)?;
    let Named { place: _, name } = &add.of;
    if site.users.user(name)?.is_some() {
        bail!("there is a user {name} already; `animov user change` and `passwd` change one");
    }
    let password = api::hash_password(&ask::password()?)?;
    let now = SystemClock.now();
    let user = User {
        name: name.clone(),
        role: add.role,
        scope: add.sources.clone(),
        enabled: true,
        password,
        generation: 1,
        created_at: now,
        changed_at: now,
    };
    if !site.users.add_user(&user)? {
        bail!("somebody else has just added a user {name}");
    }
    let what = format!("user add {} {}", add.role, add.sources);
    site.note(&what, name)?;
    if site.config.keys()?.is_none() {
        output::tell(&format!(
            "note: no server can let {name} in yet: set {} to a secret of 32 characters or more \
             where `animov run` or `animov api` runs, or name an [[api.auth.key]]",
            api::SECRET_ENV
        ));
    }
    tell(&format!("{name} can log in, as {}, and may see {}", add.role, add.sources))
}

/// The users of a site, to be changed.
struct Site {
    config: Config,
    users: std::sync::Arc<dyn UserStore>,
}

impl Site {
    fn open(place: &Place) -> anyhow::Result<Site> {
        let config = place.load()?;
        let users = parts::tables(&config, &Registry::new())?.users;
        Ok(Site { config, users })
    }

    /// Changes a user, and says so in the log.
    fn change(&self, name: &UserName, what: &str, change: &UserChange) -> anyhow::Result<()> {
        if !self.users.change_user(name, change, SystemClock.now())? {
            return Err(no_such(name));
        }
        let what = match change {
            UserChange::Role(role) => format!("{what} {role}"),
            UserChange::Scope(scope) => format!("{what} {scope}"),
            UserChange::Password(_) | UserChange::Enabled(_) => what.to_owned(),
        };
        self.note(&what, name)
    }

    /// Writes the log, and deletes what is too old in it.
    fn note(&self, what: &str, whom: &UserName) -> anyhow::Result<()> {
        let at: UnixMillis = SystemClock.now();
        let who = ["SUDO_USER", "USER", "LOGNAME"].into_iter().find_map(crate::config::variable);
        self.users
            .note(&Entry {
                at,
                who: who.unwrap_or_else(|| "unknown".to_owned()),
                from: "command line".to_owned(),
                what: what.to_owned(),
                whom: whom.to_string(),
                result: "ok".to_owned(),
            })
            .context("it is done, but the log of changes could not be written")?;
        self.users.forget_entries(at.minus(self.config.api.auth.log_keep))?;
        Ok(())
    }
}

fn to_read(place: &Place) -> anyhow::Result<std::sync::Arc<dyn UserStore>> {
    Ok(parts::tables_to_read(&place.load()?)?.users)
}

fn no_such(name: &UserName) -> anyhow::Error {
    anyhow::anyhow!("there is no user {name}; `animov user list` lists all")
}

fn tell(text: &str) -> anyhow::Result<Exit> {
    let mut out = output::open(None)?;
    output::unless_closed(writeln!(out, "{text}").and_then(|()| out.flush()))?;
    Ok(Exit::Ok)
}
