//! The `tinykv` command line: one file for each subcommand, named after it.
//!
//! `input` and `encoding` turn arguments into bytes, `output` turns bytes into what people and
//! programs read. Exit codes: 0 done, 1 not found or failed, 2 wrong usage.

mod encoding;
mod input;
mod output;

mod admin;
mod bench;
mod check;
mod cluster;
mod completions;
mod get;
mod raw;
mod rm;
mod salvage;
mod set;
mod shell;
mod wal;

use std::io;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::{Parser, Subcommand};
use tinykv_client::{Client, Error, Options};

use crate::cli::output::Output;

/// Reads and writes a tinykv server.
#[derive(Parser)]
#[command(name = "tinykv", version, arg_required_else_help = true, max_term_width = 100, after_help = EXAMPLES)]
struct Args {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  tinykv set greeting hello
  tinykv get greeting
  tinykv --addr 192.0.2.7:20160 raw scan --prefix user: --limit 10
  tinykv help raw scan

Exit codes: 0 done, 1 not found or failed, 2 wrong usage.";

/// The heading of the options that every subcommand has.
const GLOBAL: &str = "Global options";

/// What holds for every subcommand.
#[derive(Clone, clap::Args)]
struct Global {
    /// The server's native address, HOST:PORT; of a cluster some, HOST:PORT,HOST:PORT
    #[arg(
        long,
        env = "TINYKV_ADDR",
        default_value = "127.0.0.1:20160",
        value_name = "HOST:PORT",
        value_parser = address,
        global = true,
        help_heading = GLOBAL
    )]
    addr: String,
    /// Print JSON, for programs; errors too, on stderr
    #[arg(long, global = true, help_heading = GLOBAL)]
    json: bool,
    /// How long one request may take, like 500ms or 5s
    #[arg(
        long,
        default_value = "10s",
        value_name = "TIME",
        value_parser = duration,
        global = true,
        help_heading = GLOBAL
    )]
    timeout: Duration,
}

#[derive(Subcommand)]
enum Command {
    Get(get::Get),
    Set(set::Set),
    Rm(rm::Rm),
    Raw(raw::RawArgs),
    Shell(shell::Shell),
    Bench(Box<bench::Bench>),
    Cluster(cluster::Cluster),
    Admin(admin::Admin),
    Check(check::Check),
    Salvage(salvage::Salvage),
    Wal(wal::Wal),
    Completions(completions::Completions),
}

/// Runs the program and tells how it ended.
pub(crate) fn main() -> ExitCode {
    let args = Args::parse();
    let json = args.global.json;
    match run(args) {
        Ok(code) => code,
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            output::error(&error, json);
            ExitCode::FAILURE
        }
    }
}

fn run(args: Args) -> anyhow::Result<ExitCode> {
    let global = args.global;
    let out = Output::stdout(global.json);
    match args.command {
        Command::Get(command) => block_on(command.run(&global, out)),
        Command::Set(command) => block_on(command.run(&global)),
        Command::Rm(command) => block_on(command.run(&global)),
        Command::Raw(command) => block_on(command.run(&global, out)),
        Command::Shell(command) => command.run(&global),
        Command::Bench(command) => command.run(&global, out),
        Command::Cluster(command) => command.run(),
        Command::Admin(command) => block_on(command.run(&global, out)),
        Command::Check(command) => command.run(out),
        Command::Salvage(command) => command.run(out),
        Command::Wal(command) => command.run(out),
        Command::Completions(command) => command.run(),
    }
}

/// Runs a subcommand that needs no second thread.
fn block_on<T>(command: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start")?;
    runtime.block_on(command)
}

impl Global {
    /// Connects to the server.
    async fn connect(&self) -> anyhow::Result<Client> {
        Ok(Client::connect(&self.addr, self.options()).await?)
    }

    /// The client's options.
    fn options(&self) -> Options {
        let default = Options::default();
        Options {
            timeout: self.timeout,
            connect_timeout: default.connect_timeout.min(self.timeout),
            ..default
        }
    }
}

/// Whether the reader of our output went away, as `head` does: no error of ours.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<Error>().is_none()
        && error
            .chain()
            .filter_map(|cause| cause.downcast_ref::<io::Error>())
            .any(|cause| cause.kind() == io::ErrorKind::BrokenPipe)
}

/// Checks that an address is HOST:PORT, or several.
fn address(text: &str) -> Result<String, String> {
    let is_address = |text: &str| match text.rsplit_once(':') {
        Some((host, port)) => !host.is_empty() && port.parse::<u16>().is_ok(),
        None => false,
    };
    match text.split(',').all(is_address) {
        true => Ok(text.to_owned()),
        false => Err("an address is HOST:PORT, like 127.0.0.1:20160".to_owned()),
    }
}

/// Reads a time that is more than nothing.
fn duration(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(time) if !time.is_zero() => Ok(time),
        Ok(_) => Err("a time must be more than 0".to_owned()),
        Err(error) => Err(format!("{error}; a time is like 500ms, 5s or 1h")),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definition_of_the_command_line_is_sound() {
        Args::command().debug_assert();
    }

    #[test]
    fn an_address_has_a_host_and_a_port() {
        for good in ["127.0.0.1:1", "localhost:20160", "[::1]:20160", "a:1,b:2"] {
            assert_eq!(address(good).as_deref(), Ok(good));
        }
        for bad in ["", "localhost", ":1", "h:", "h:x", "h:65536", "invalid-addr", "a:1,", "a:1,b"]
        {
            assert!(address(bad).is_err(), "{bad}");
        }
    }
}
