//! A site's process from a command line: announced, and run until a signal.

use std::io::Write;
use std::net::SocketAddr;

use crate::config::Config;
use crate::exit::Exit;
use crate::roles::site::{Role, Running};
use crate::{output, signals};

/// Where the page, the API, `/readyz` and `/metrics` of a process are.
#[derive(clap::Args, Clone, Copy, Debug)]
pub(crate) struct Bind {
    /// Address and port to answer at, instead of the configuration's
    #[arg(long, value_name = "ADDRESS:PORT", env = "ANIMOV_BIND", hide_env_values = true)]
    bind: Option<SocketAddr>,
}

impl Bind {
    /// The configuration with this address, if one was given.
    pub(crate) fn applied(self, mut config: Config) -> Config {
        if let Some(bind) = self.bind {
            config.api.bind = bind;
        }
        config
    }
}

/// Runs the parts of `role` until a signal, or until a part ends that must not;
/// `more` is what to announce beside where they are.
///
/// # Errors
///
/// A part could not begin, or has ended.
pub(crate) fn until_stopped(
    role: Role,
    config: &Config,
    more: &[(&str, String)],
) -> anyhow::Result<Exit> {
    let stop = signals::stop_on_signal()?;
    let mut running = Running::start(role, config)?;
    let announced = announce(config, &running, more);
    let supervised = announced.and_then(|()| running.supervise(&stop, |_| {}));
    if let Err(error) = &supervised {
        // Now, not after the end: what is stuck may take its time to end.
        tracing::error!("{error:#}, so the process ends");
    }
    let finished = running.finish();
    supervised?;
    finished?;
    Ok(Exit::Ok)
}

fn announce(config: &Config, running: &Running, more: &[(&str, String)]) -> anyhow::Result<()> {
    let role = running.role();
    let mut lines = vec![(role.page(), format!("{}://{}/", running.scheme(), running.address()))];
    lines.push(("log", config.log.to_string()));
    if role.has_tables() {
        lines.push(("tables", config.state.to_string()));
    }
    lines.extend(more.iter().cloned());
    lines.push(("stop", "Ctrl-C".to_owned()));
    let mut out = output::open(None)?;
    let mut text = format!("animov {}.\n", role.does());
    for (what, where_it_is) in lines {
        text.push_str(&format!("  {what:<8} {where_it_is}\n"));
    }
    output::unless_closed(out.write_all(text.as_bytes()).and_then(|()| out.flush()))?;
    Ok(())
}
