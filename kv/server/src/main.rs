//! Runs one tinykv store.

use std::io::Write;
use std::process::ExitCode;

use anyhow::{Context, Result};
use log::{Destination, FileOptions, Filter, Format, Options};
use tinykv_server::config::{Config, ConfigError, EngineKind, LogFormat, Request};
use tinykv_server::{Addresses, Server};
use tokio::signal::unix::{SignalKind, signal};

fn main() -> ExitCode {
    let config = match Request::parse(std::env::args().collect()) {
        Ok(Request::Run(config)) => config,
        Ok(Request::Print(text)) => return print(&text),
        // It knows where to print itself and how to exit: help is no failure.
        Err(ConfigError::Flags(error)) => error.exit(),
        Err(error) => return fail(&error.into()),
    };
    match run(*config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

/// Runs a server until a signal ends it.
fn run(config: Config) -> Result<()> {
    let log = log::init(log_options(&config)?).context("cannot start the log")?;
    let (engine, path) = (config.engine, config.path.clone());
    // The folder of an engine in memory is not used.
    let keeps = engine != EngineKind::Memory;
    log::info!("starting tinykv-server {}", env!("CARGO_PKG_VERSION");
        "engine" => engine.name(), "path" => path.display().to_string(),
        "sync" => config.sync.name(), "addr" => config.addr.to_string(),
        "resp_addr" => config.resp_addr.to_string(), "status_addr" => config.status_addr.to_string());
    let signals = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    // Caught from now on, so that none comes too early.
    let (mut term, mut interrupt) = signals.block_on(async {
        Ok::<_, std::io::Error>((
            signal(SignalKind::terminate())?,
            signal(SignalKind::interrupt())?,
        ))
    })?;
    let running = Server::start(config)?;
    let ready = ready_line(running.addresses(), engine, keeps.then(|| path.display().to_string()));
    log::info!("{ready}");
    // Who started it may not read its output; that is no reason to stop.
    let _ = writeln!(std::io::stdout(), "{ready}");
    let name = signals.block_on(async {
        tokio::select! {
            _ = term.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        }
    });
    log::info!("stopping"; "signal" => name);
    running.shutdown().context("the last sync failed")?;
    log::info!("stopped");
    drop(log);
    Ok(())
}

/// The line that says where clients can connect now.
fn ready_line(addresses: Addresses, engine: EngineKind, path: Option<String>) -> String {
    let at = |address: Option<std::net::SocketAddr>| {
        address.map_or_else(|| "off".to_owned(), |address| address.to_string())
    };
    let path = path.unwrap_or_else(|| "none".to_owned());
    let mut line = format!(
        "ready native={} resp={} status={} engine={engine} path={path}",
        at(addresses.native),
        at(addresses.resp),
        at(addresses.status),
    );
    if let Some(peer) = addresses.peer {
        line.push_str(&format!(" peer={peer}"));
    }
    line
}

/// The log that the configuration asks for.
fn log_options(config: &Config) -> Result<Options> {
    let default = Options::default();
    Ok(Options {
        filter: config.log_level.parse::<Filter>().context("--log-level")?,
        format: match config.log_format {
            LogFormat::Text => default.format,
            LogFormat::Json => Format::Json,
        },
        destination: match config.log_file.as_str() {
            "" => Destination::Stderr,
            file => Destination::File(FileOptions::new(file)),
        },
        ..default
    })
}

/// Prints a text that was asked for.
fn print(text: &str) -> ExitCode {
    match std::io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// Says why it does not go on.
fn fail(error: &anyhow::Error) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "tinykv-server: {error:#}");
    ExitCode::FAILURE
}
