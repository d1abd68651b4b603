//! Runs a conformance script and prints its transcript.
//!
//! ```text
//! cargo run -p tinykv-raft --example interaction -- FILE               a cluster
//! cargo run -p tinykv-raft --example interaction -- --quorum FILE      quorum decisions
//! cargo run -p tinykv-raft --example interaction -- --confchange FILE  membership changes
//! ```
//!
//! The three languages are those of etcd-io/raft, so that its public scripts can be run on this
//! crate: a correct core with the append policy "immediate" prints the same lines, apart from log
//! lines, of which this crate has none.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command-line program")]

mod cluster;
mod confchange;
mod describe;
mod quorum;
mod script;

use std::process::ExitCode;

use script::Directive;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (mode, file) = match &arguments[..] {
        [file] => ("--cluster", file),
        [mode, file] => (mode.as_str(), file),
        _ => {
            eprintln!("usage: interaction [--quorum | --confchange] FILE");
            return ExitCode::FAILURE;
        }
    };
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) => {
            eprintln!("cannot read {file}: {error}");
            return ExitCode::FAILURE;
        }
    };
    match transcript(mode, &text) {
        Ok(transcript) => {
            print!("{transcript}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{file}: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the script `text` and returns it with the output that this crate gives.
fn transcript(mode: &str, text: &str) -> Result<String, String> {
    let mut cluster = cluster::Cluster::default();
    let mut changes = confchange::Group::default();
    let run: &mut dyn FnMut(&Directive) -> String = match mode {
        "--cluster" => &mut |directive| cluster.handle(directive),
        "--quorum" => &mut quorum::handle,
        "--confchange" => &mut |directive| changes.handle(directive),
        _ => return Err(format!("unknown mode {mode}")),
    };
    script::replay(text, run)
}
