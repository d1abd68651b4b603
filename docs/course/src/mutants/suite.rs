//! Test programs: built once, run many times.

use std::fmt;
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use crate::workspace::cargo;

/// A built test program.
#[derive(Debug)]
pub(crate) struct Program {
    /// The package and the test target.
    pub(crate) name: String,
    file: PathBuf,
    /// Where cargo would run it.
    folder: PathBuf,
}

/// What a run of a program, or of many, came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// All tests passed: a bug that was on was not noticed.
    Passed,
    /// This test failed.
    Failed { program: String, test: String },
    /// Nothing more happened for too long, which proves nothing.
    Hung { program: String },
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Verdict::Passed => f.write_str("NOT CAUGHT"),
            Verdict::Failed { program, test } => write!(f, "caught by {program} {test}"),
            Verdict::Hung { program } => write!(f, "NOT CAUGHT: {program} hangs"),
        }
    }
}

/// Builds the test programs of some packages with the feature `mutants` of one, and with another
/// one of each suite if it is named.
pub(crate) fn build(
    package: &str,
    suites: &[String],
    feature: Option<&str>,
) -> Result<Vec<Program>> {
    let mut command = Command::new(cargo());
    command.args(["test", "--no-run", "--message-format", "json-render-diagnostics"]);
    command.args(["--features", &format!("{package}/mutants")]);
    for suite in suites {
        command.args(["--package", suite]);
        if let Some(feature) = feature {
            command.args(["--features", &format!("{suite}/{feature}")]);
        }
    }
    let output = command.stderr(Stdio::inherit()).output().context("cannot run cargo test")?;
    ensure!(output.status.success(), "cannot build the tests of {package}");
    let mut programs = Vec::new();
    for line in String::from_utf8(output.stdout)?.lines() {
        let message: serde_json::Value = serde_json::from_str(line)?;
        let (Some(file), true) =
            (message["executable"].as_str(), message["profile"]["test"] == true)
        else {
            continue;
        };
        let manifest =
            PathBuf::from(message["manifest_path"].as_str().context("no manifest path")?);
        let folder = manifest.parent().context("a manifest without a folder")?.to_path_buf();
        programs.push(Program {
            name: message["target"]["name"].as_str().context("no target name")?.to_owned(),
            file: file.into(),
            folder,
        });
    }
    ensure!(!programs.is_empty(), "{package} has no tests");
    Ok(programs)
}

impl Program {
    /// Runs the program, with a bug on if one is named, until its first test fails. `seconds` is
    /// how long it takes without a bug, if that is known. Returns also how long it took.
    pub(crate) fn run(&self, bug: Option<&str>, seconds: Option<f64>) -> Result<(Verdict, f64)> {
        let mut command = Command::new(&self.file);
        command.current_dir(&self.folder).env("CARGO_MANIFEST_DIR", &self.folder);
        command.env_remove("TINYKV_MUTANT");
        if let Some(bug) = bug {
            command.env("TINYKV_MUTANT", bug);
        }
        // A group of its own, so that programs which the tests start end with it.
        command.process_group(0).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let start = Instant::now();
        let mut child = command.spawn().with_context(|| self.name.clone())?;
        let verdict = self.watch(&mut child, start + limit(seconds))?;
        Ok((verdict, start.elapsed().as_secs_f64()))
    }

    /// Reads what a running program prints until it fails or ends, and ends it.
    fn watch(&self, child: &mut Child, deadline: Instant) -> Result<Verdict> {
        let stdout = child.stdout.take().context("no output to read")?;
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                // Nobody listens any more once a test has failed.
                let _ = sender.send(line);
            }
        });
        let verdict = loop {
            match lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    if let Some(test) = failed(&line) {
                        break Some(self.failed(test));
                    }
                }
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    break Some(Verdict::Hung { program: self.name.clone() });
                }
                Err(mpsc::RecvTimeoutError::Disconnected) => break None,
            }
        };
        if verdict.is_some() {
            let group = format!("-{}", child.id());
            Command::new("kill")
                .args(["-KILL", "--", &group])
                .status()
                .context("cannot run kill")?;
        }
        let status = child.wait()?;
        Ok(match verdict {
            Some(verdict) => verdict,
            None if status.success() => Verdict::Passed,
            None => self.failed(&format!("({status})")),
        })
    }

    fn failed(&self, test: &str) -> Verdict {
        Verdict::Failed { program: self.name.clone(), test: test.to_owned() }
    }
}

/// How long a run may take: a bug may slow it down, but not without end.
fn limit(seconds: Option<f64>) -> Duration {
    Duration::from_secs_f64(seconds.map_or(1200.0, |seconds| 60.0 + 20.0 * seconds))
}

/// The name of the test that a line says has failed.
fn failed(line: &str) -> Option<&str> {
    line.strip_prefix("test ")?.strip_suffix(" ... FAILED")
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::process::Command;

    use super::{Program, Verdict, failed};

    /// A program that the shell stands in for, as its tests are those of a script. Another process
    /// writes it: were it open for writing here, a child of a test that runs beside would have it open
    /// too until it becomes another program, and who starts it then is told "Text file busy".
    fn program(folder: &Path, script: &str) -> Program {
        let file = folder.join("program");
        let written = Command::new("sh")
            .args(["-c", "printf '#!/bin/sh\\n%s\\n' \"$2\" > \"$1\" && chmod +x \"$1\"", "sh"])
            .arg(&file)
            .arg(script)
            .status();
        assert!(written.unwrap().success());
        Program { name: "stage_0".into(), file, folder: folder.into() }
    }

    #[test]
    fn a_line_that_says_failed() {
        assert_eq!(failed("test a::b ... FAILED"), Some("a::b"));
        assert_eq!(failed("test a::b ... ok"), None);
        assert_eq!(failed("test result: FAILED. 1 passed; 1 failed"), None);
    }

    #[test]
    fn green_without_and_red_with_a_bug() {
        let folder = tempfile::tempdir().unwrap();
        let script = "test -z \"$TINYKV_MUTANT\" && exit 0\n\
                      echo \"test x ... ok\"; echo \"test y ... FAILED\"; exec cat /dev/zero";
        let program = program(folder.path(), script);
        assert_eq!(program.run(None, None).unwrap().0, Verdict::Passed);
        let (verdict, _) = program.run(Some("bug"), None).unwrap();
        assert_eq!(verdict.to_string(), "caught by stage_0 y");
    }

    #[test]
    fn a_program_that_dies_has_failed() {
        let folder = tempfile::tempdir().unwrap();
        let (verdict, _) = program(folder.path(), "exit 3").run(Some("bug"), None).unwrap();
        assert_eq!(verdict.to_string(), "caught by stage_0 (exit status: 3)");
    }
}
