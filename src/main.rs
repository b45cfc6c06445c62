//! animov: exact windowed statistics of animals seen by cameras.
//!
//! The only place that knows all crates, and hands each its neighbours.

mod cli;
mod commands;
mod config;
#[cfg(feature = "failpoints")]
mod crash;
mod exit;
mod film;
mod logging;
mod output;
mod parts;
mod progress;
mod roles;
mod signals;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::{Cli, Command};
use crate::exit::Exit;

fn main() -> ExitCode {
    let cli = Cli::parse();
    #[cfg(feature = "failpoints")]
    crash::set_point();
    logging::init(cli.log_format, cli.command.usual_log());
    match dispatch(&cli.command) {
        Ok(exit) => exit.into(),
        Err(error) => {
            output::tell(&format!("animov: {error:#}"));
            exit::code_of(&error)
        }
    }
}

fn dispatch(command: &Command) -> anyhow::Result<Exit> {
    use crate::commands::{
        accuracy, api, audit, camera, check, demo, detect, export, import, label, log, migrate,
        pipeline, replay, run, simulate, user,
    };
    match command {
        Command::Run(args) => run::run(args),
        Command::Pipeline(args) => pipeline::run(args),
        Command::Camera(args) => camera::run(args),
        Command::Api(args) => api::run(args),
        Command::Demo(args) => demo::run(args),
        Command::Check(args) => check::run(args),
        Command::Detect(args) => detect::run(args),
        Command::Label(args) => label::run(args),
        Command::Accuracy(args) => accuracy::run(args),
        Command::Import(args) => import::run(args),
        Command::Export(args) => export::run(args),
        Command::Audit(args) => audit::run(args),
        Command::Replay(args) => replay::run(args),
        Command::Migrate(args) => migrate::run(args),
        Command::Log(args) => log::run(args),
        Command::Simulate(args) => simulate::run(args),
        Command::User(args) => user::run(args),
    }
}
