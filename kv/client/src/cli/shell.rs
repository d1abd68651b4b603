//! `tinykv shell`: a prompt for the raw commands, or a script of them on stdin.
//!
//! A line is cut into `words` and read by the same definitions as `tinykv raw`. What a line does
//! wrong never ends the shell, unless --strict says so.

mod helper;
mod history;
mod words;

use std::ffi::OsString;
use std::io::{self, BufRead, IsTerminal};
use std::ops::ControlFlow;
use std::os::unix::ffi::OsStringExt;
use std::process::ExitCode;

use anyhow::Context;
use clap::error::ErrorKind;
use clap::{Parser, Subcommand};
use rustyline::error::ReadlineError;
use tinykv_client::Client;
use tokio::runtime::Runtime;

use crate::cli::Global;
use crate::cli::output::{self, Output, complain};
use crate::cli::raw::{self, Settings};

/// Reads commands at a prompt, or from stdin
///
/// The commands are those of `tinykv raw`; `help` lists them. At a prompt there are line editing,
/// completion with the tabulator key, and a history, which is kept in
/// $XDG_STATE_HOME/tinykv/history (~/.local/state/tinykv/history). Ctrl-C gives up the line or
/// the running command, Ctrl-D ends the shell.
///
/// Words are separated by blanks. 'Single quotes' take everything as it is. In "double quotes"
/// and outside of quotes, \n \r \t \0 \\ \" \' and \xNN stand for bytes. A line that begins
/// with # is a comment.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  tinykv shell
  tinykv shell --strict < commands.txt       stops at the first error, with exit code 1
  echo 'scan --limit 3' | tinykv shell --json")]
pub(crate) struct Shell {
    /// End with exit code 1 at the first command that fails
    #[arg(long)]
    strict: bool,
    #[command(flatten)]
    settings: Settings,
}

/// One line of the shell.
#[derive(Parser)]
#[command(
    name = "",
    no_binary_name = true,
    disable_help_flag = false,
    disable_version_flag = true,
    help_template = "Commands:\n{subcommands}{after-help}",
    after_help = "\
help COMMAND tells more. Words that hold blanks stand in 'quotes' or \"quotes\"; in the latter
and outside of quotes, \\n \\r \\t \\0 \\\\ \\xNN stand for bytes. Ctrl-C gives up the line, Ctrl-D
ends the shell."
)]
pub(super) struct Line {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    #[command(flatten)]
    Raw(raw::Command),
    /// Changes the column family of the following commands
    Cf {
        /// default, lock or write
        name: String,
    },
    /// Changes how keys and values are written in the following commands
    Encoding {
        /// text, hex, base64 or escaped
        #[arg(value_enum)]
        encoding: crate::cli::encoding::Encoding,
    },
    /// Ends the shell
    #[command(visible_alias = "quit")]
    Exit,
}

impl Shell {
    pub(crate) fn run(self, global: &Global) -> anyhow::Result<ExitCode> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .context("cannot start")?;
        let client = runtime.block_on(global.connect())?;
        let interactive = io::stdin().is_terminal() && io::stdout().is_terminal();
        let mut out = Output::stdout(global.json);
        // Each result is a line of its own, wherever it goes.
        out.terminal = true;
        out.encoding = self.settings.encoding;
        let mut session = Session {
            runtime,
            client,
            cf: self.settings.cf,
            out,
            interactive,
            strict: self.strict,
            failed: false,
        };
        if interactive {
            session.prompt(&global.addr)?
        } else {
            session.script()?
        }
        Ok(if session.strict && session.failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }
}

/// A running shell.
struct Session {
    runtime: Runtime,
    client: Client,
    /// The column family of the commands.
    cf: String,
    out: Output,
    /// Whether a person types.
    interactive: bool,
    /// Whether the first failure ends it.
    strict: bool,
    /// Whether a command failed.
    failed: bool,
}

impl Session {
    /// Reads lines from a person.
    fn prompt(&mut self, address: &str) -> anyhow::Result<()> {
        let mut editor = history::editor().context("cannot use the terminal")?;
        self.out.line("help lists the commands, Ctrl-D ends the shell")?;
        self.out.flush()?;
        loop {
            let cf = if self.cf == "default" { "" } else { &format!("/{}", self.cf) };
            match editor.readline(&format!("{address}{cf}> ")) {
                Ok(line) => {
                    editor.add_history_entry(&line)?;
                    if self.line(line.as_bytes())?.is_break() {
                        break;
                    }
                }
                // Ctrl-C gives up the line.
                Err(ReadlineError::Interrupted) => {}
                Err(ReadlineError::Eof) => break,
                Err(error) => return Err(error).context("cannot read the terminal"),
            }
        }
        history::save(&mut editor);
        Ok(())
    }

    /// Reads lines from a file or a pipe.
    fn script(&mut self) -> anyhow::Result<()> {
        let mut input = io::stdin().lock();
        let mut line = Vec::new();
        loop {
            line.clear();
            if input.read_until(b'\n', &mut line).context("cannot read stdin")? == 0 {
                return Ok(());
            }
            let end = line.trim_ascii_end().len();
            if self.line(&line[..end])?.is_break() {
                return Ok(());
            }
        }
    }

    /// Carries a line out; fails only if its results cannot be printed.
    fn line(&mut self, line: &[u8]) -> io::Result<ControlFlow<()>> {
        let ending = self.execute(line);
        self.out.flush()?;
        match ending {
            Ok(Ending::Done) => return Ok(ControlFlow::Continue(())),
            Ok(Ending::Exit) => return Ok(ControlFlow::Break(())),
            Ok(Ending::NotFound) => {}
            Err(error) => match error.downcast::<clap::Error>() {
                Ok(usage) => complain(&complaint(&usage)),
                Err(error) => output::error(&error, self.out.json),
            },
        }
        self.failed = true;
        Ok(if self.strict { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    }

    fn execute(&mut self, line: &[u8]) -> anyhow::Result<Ending> {
        let words = words::split(line)?;
        if words.is_empty() {
            return Ok(Ending::Done);
        }
        let verb = match Line::try_parse_from(words.into_iter().map(OsString::from_vec)) {
            Ok(line) => line.verb,
            Err(help) if !help.use_stderr() => {
                self.out.line(help.render().to_string().trim_end())?;
                return Ok(Ending::Done);
            }
            Err(usage) => return Err(usage.into()),
        };
        match verb {
            Verb::Raw(command) => self.request(command),
            Verb::Cf { name } => {
                self.cf = name;
                Ok(Ending::Done)
            }
            Verb::Encoding { encoding } => {
                self.out.encoding = Some(encoding);
                Ok(Ending::Done)
            }
            Verb::Exit => Ok(Ending::Exit),
        }
    }

    /// Carries a raw command out; a person's Ctrl-C gives it up.
    fn request(&mut self, command: raw::Command) -> anyhow::Result<Ending> {
        let raw = self.client.raw().with_cf(self.cf.clone());
        let interactive = self.interactive;
        let out = &mut self.out;
        let ending = self.runtime.block_on(async {
            let interrupt = async {
                match interactive {
                    true => tokio::signal::ctrl_c().await,
                    // Nobody to go on for: let the signal end the program.
                    false => std::future::pending().await,
                }
            };
            tokio::select! {
                ending = command.run(raw, out) => ending,
                _ = interrupt => {
                    // The terminal has shown ^C.
                    complain("");
                    Err(anyhow::anyhow!("given up; a write may still be carried out"))
                }
            }
        })?;
        Ok(match ending {
            raw::Ending::Done => Ending::Done,
            raw::Ending::NotFound => Ending::NotFound,
        })
    }
}

/// What is wrong with a line, without the words that are meant for a program's arguments.
fn complaint(usage: &clap::Error) -> String {
    let text = usage.render().to_string();
    let text = match usage.kind() {
        ErrorKind::InvalidSubcommand => text.split("\n\nUsage:").next().unwrap_or_default(),
        _ => text.split("\n\nFor more information").next().unwrap_or_default(),
    };
    format!("{}\nhelp lists the commands, help COMMAND tells more", text.trim_end())
}

/// How a line ended that did not fail.
enum Ending {
    Done,
    /// A key was absent, or a swap did not happen.
    NotFound,
    Exit,
}
