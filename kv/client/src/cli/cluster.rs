//! `tinykv cluster`: a cluster of stores on this machine, for trying things out.

mod start;

use std::process::ExitCode;

use clap::Subcommand;

/// Run a cluster on this machine
#[derive(clap::Args)]
pub(crate) struct Cluster {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Start(start::Start),
}

impl Cluster {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        match self.command {
            Command::Start(command) => command.run(),
        }
    }
}
