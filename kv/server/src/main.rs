//! Runs one tinykv store.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, anyhow, bail};
use log::{Destination, FileOptions, Filter, Format, Options};
use mutant::mutant;
use tinykv_server::config::{Config, ConfigError, EngineKind, LogFormat, Request};
use tinykv_server::{Addresses, HOW_TO_REPLACE, Server, StartError};
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

/// The signal that says that a file would become larger than is allowed: it ends a program that does
/// not take it. The same on Linux, macOS and the BSDs.
const SIGXFSZ: i32 = 25;

/// What to do about a store that could not go on.
const AFTER_HALT: &str = "The store has ended, since what is on its disk is not known any more. \
     What it answered is on the disk, as far as that kept it, and on the other stores of a cluster. \
     Look at the disk (free space, limits, dmesg), and unless the reason says otherwise start the \
     store again: it recovers from what the disk has. A store of a cluster whose disk is lost comes \
     back under another --store-id.";

/// Why a server ends.
enum End {
    Signal(&'static str),
    /// It cannot go on.
    Halted(String),
}

/// Runs a server until a signal ends it, or a failure.
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
    let (mut term, mut interrupt, _too_large) = signals.block_on(async {
        Ok::<_, std::io::Error>((
            signal(SignalKind::terminate())?,
            signal(SignalKind::interrupt())?,
            // The write that would be too large fails, like any other.
            signal(SignalKind::from_raw(SIGXFSZ))?,
        ))
    })?;
    let is_clustered = config.is_clustered();
    let running = Server::start(config).map_err(|error| {
        let advice = advice(&error, is_clustered, &path);
        let error = anyhow::Error::new(error);
        if advice.is_empty() { error } else { anyhow!("{error:#}. {advice}") }
    })?;
    let ready = ready_line(running.addresses(), engine, keeps.then(|| path.display().to_string()));
    log::info!("{ready}");
    // Who started it may not read its output; that is no reason to stop.
    let _ = writeln!(std::io::stdout(), "{ready}");
    let end = signals.block_on(async {
        tokio::select! {
            _ = term.recv() => End::Signal("SIGTERM"),
            _ = interrupt.recv() => End::Signal("SIGINT"),
            reason = running.halted() => End::Halted(reason),
        }
    });
    match end {
        End::Signal(name) => {
            log::info!("stopping"; "signal" => name);
            running.shutdown().context("the last sync failed")?;
            log::info!("stopped");
        }
        End::Halted(reason) => {
            // A last sync can promise nothing any more.
            let _ = running.shutdown();
            log::error!("stopped after a failure"; "reason" => reason.clone());
            if !mutant!("halt-taken-for-success") {
                bail!("{reason}. {AFTER_HALT}");
            }
        }
    }
    drop(log);
    Ok(())
}

/// What can be done about a folder that cannot be opened for what is in it.
fn advice(error: &StartError, is_clustered: bool, path: &Path) -> String {
    let path = path.display();
    match error {
        StartError::Engine(engine::Error::Corrupt { .. }) | StartError::Raft(_) if is_clustered => {
            format!(
                "If nothing is wrong with the configuration: the other stores have the data too. \
                 {HOW_TO_REPLACE}"
            )
        }
        StartError::Engine(engine::Error::Corrupt { .. }) => format!(
            "`tinykv check --path {path}` tells all that is damaged, and `tinykv salvage --path \
             {path} --out NEW_DIR` copies what is whole to a new folder"
        ),
        _ => String::new(),
    }
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
