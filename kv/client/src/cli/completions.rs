//! `tinykv completions`.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::CommandFactory;
use clap_complete::Shell;

use crate::cli::Args;

/// Prints what makes a shell complete tinykv's commands
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  tinykv completions bash > ~/.local/share/bash-completion/completions/tinykv
  tinykv completions zsh > ~/.zfunc/_tinykv
  tinykv completions fish > ~/.config/fish/completions/tinykv.fish
  source <(tinykv completions bash)          for this shell only")]
pub(crate) struct Completions {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

impl Completions {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        // The generator panics if it cannot write, which a vector always can.
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Args::command(), "tinykv", &mut script);
        io::stdout().write_all(&script)?;
        Ok(ExitCode::SUCCESS)
    }
}
