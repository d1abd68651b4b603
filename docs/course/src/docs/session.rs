//! The folder, the shell and the server in which the commands of one page run.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use super::page::{Block, Step};

/// The ports that the docs show, in the order of the ready line: native, RESP, status.
const PORTS: [&str; 3] = ["20160", "6380", "20180"];

/// Between the outputs of two commands.
const MARK: &str = "\u{1}";

/// Seconds that a block, or the start of a server, may take before it counts as hanging.
const SECONDS_MAX: u64 = 120;

/// What the blocks of a page share.
#[derive(Debug)]
pub(super) struct Session {
    folder: tempfile::TempDir,
    /// The value of `PATH`.
    path: String,
    server: Option<Child>,
    /// The ports of the running server, in the order of [`PORTS`].
    ports: Vec<String>,
}

impl Session {
    /// A session in an empty folder, with our programs on the path.
    pub(super) fn new(programs: &Path) -> Result<Session> {
        let folder = tempfile::tempdir()?;
        let path = std::env::var("PATH").unwrap_or_default();
        let programs = programs.display();
        let path = format!("{programs}:{programs}/examples:{path}");
        Ok(Session { folder, path, server: None, ports: Vec::new() })
    }

    /// Runs the steps of a block, and returns what each printed. If `server` is set, the last one
    /// goes on running, and what it printed is all up to its ready line.
    pub(super) fn run(&mut self, block: &Block, server: bool) -> Result<Vec<Vec<String>>> {
        let (steps, last) = match block.steps.split_last() {
            Some((last, steps)) if server => (steps, Some(last)),
            _ => (&block.steps[..], None),
        };
        let mut outputs = self.commands(steps)?;
        if let Some(step) = last {
            outputs.push(self.start(step)?);
        }
        Ok(outputs)
    }

    /// Ends the server, if one runs, as a user would: with SIGTERM.
    pub(super) fn stop(&mut self) -> Result<()> {
        let Some(mut server) = self.server.take() else { return Ok(()) };
        self.ports.clear();
        Command::new("kill").arg(server.id().to_string()).status().context("cannot run kill")?;
        let status = server.wait()?;
        if !status.success() {
            bail!("the server did not end well: {status}");
        }
        Ok(())
    }

    /// Ends the server, if one runs, as a crash of the process would.
    pub(super) fn kill(&mut self) -> Result<()> {
        if let Some(mut server) = self.server.take() {
            self.ports.clear();
            server.kill()?;
            server.wait()?;
        }
        Ok(())
    }

    /// Runs commands in one shell.
    fn commands(&self, steps: &[Step]) -> Result<Vec<Vec<String>>> {
        let mut script = String::from("exec 2>&1\n");
        for step in steps {
            // The mark must not change what the next command sees as `$?`.
            script += &format!(
                "{}\nstatus=$?; printf '{MARK}\\n'; (exit $status)\n",
                self.real(&step.command)
            );
        }
        let output = self
            .shell("timeout", &[&SECONDS_MAX.to_string(), "bash", "-c", &script])
            .stdin(Stdio::null())
            .output()
            .context("cannot run bash")?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let mut parts: Vec<Vec<String>> = text
            .split(&format!("{MARK}\n"))
            .map(|part| part.lines().map(|line| self.shown(line)).collect())
            .collect();
        parts.truncate(steps.len());
        parts.resize(
            steps.len(),
            vec!["(nothing: an earlier command ended the shell, or hung)".into()],
        );
        Ok(parts)
    }

    /// Starts a server, and returns what it printed up to its ready line.
    fn start(&mut self, step: &Step) -> Result<Vec<String>> {
        self.stop()?;
        let mut command = match step.command.strip_prefix("make run") {
            Some(_) => "tinykv-server --path data".to_owned(),
            None => step.command.clone(),
        };
        for flag in ["--addr", "--resp-addr", "--status-addr"] {
            command += &format!(" {flag} 127.0.0.1:0");
        }
        let mut child = self
            .shell("bash", &["-c", &format!("exec {command} 2>&1")])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start the server")?;
        let stdout = child.stdout.take().context("no output to read")?;
        self.server = Some(child);
        let (sender, received) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                // Once the server is ready its lines are read and dropped.
                let _ = sender.send(line);
            }
        });
        let mut lines = Vec::new();
        while let Ok(line) = received.recv_timeout(Duration::from_secs(SECONDS_MAX)) {
            let ready = line.starts_with("ready");
            if ready {
                self.ports = ports(&line);
            }
            lines.push(line);
            if ready {
                return Ok(lines.iter().map(|line| self.shown(line)).collect());
            }
        }
        bail!("`{command}` did not become ready:\n{}", lines.join("\n"))
    }

    fn shell(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(arguments).current_dir(self.folder.path());
        command.env("PATH", &self.path).env("HOME", self.folder.path());
        command.env("LC_ALL", "C.UTF-8").env("TERM", "dumb").env_remove("TINYKV_MUTANT");
        // redis-cli prints as on a terminal.
        command.env("FAKETTY", "1");
        if let Some(port) = self.ports.first() {
            command.env("TINYKV_ADDR", format!("127.0.0.1:{port}"));
        }
        command
    }

    /// A text with the real ports instead of those that the docs show.
    fn real(&self, text: &str) -> String {
        PORTS
            .iter()
            .zip(&self.ports)
            .fold(text.to_owned(), |text, (shown, real)| text.replace(shown, real))
    }

    /// A line as the docs show it: with their ports instead of the real ones, and without tabs.
    fn shown(&self, line: &str) -> String {
        let ports = PORTS.iter().zip(&self.ports);
        ports.fold(spaces(line), |line, (shown, real)| line.replace(real, shown))
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // Only after an error: without one, `stop` has been called.
        let _ = self.kill();
    }
}

/// A line with spaces up to the next multiple of eight columns for each tab, as a terminal shows it.
fn spaces(line: &str) -> String {
    let mut text = String::new();
    let mut column = 0;
    for c in line.chars() {
        let width = if c == '\t' { 8 - column % 8 } else { 1 };
        text.extend(std::iter::repeat_n(if c == '\t' { ' ' } else { c }, width));
        column += width;
    }
    text
}

/// The ports in a ready line, in order.
fn ports(line: &str) -> Vec<String> {
    line.split("127.0.0.1:")
        .skip(1)
        .map(|rest| rest.chars().take_while(char::is_ascii_digit).collect())
        .collect()
}

/// Where a program is on the path, if it is there.
pub(super) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}
