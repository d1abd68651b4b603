//! `tinykv-sim check HISTORY`: judges a history from anywhere.

use std::fs::File;
use std::io::BufReader;
use std::process::ExitCode;

use tinykv_sim::history::History;
use tinykv_sim::linear::{Options, Verdict, check as judge};
use tinykv_sim::outcome::Failure;

pub(crate) fn check(path: &str) -> ExitCode {
    let calls = File::open(path)
        .map_err(|error| error.to_string())
        .and_then(|file| History::read(BufReader::new(file)).map_err(|error| error.to_string()))
        .and_then(|history| history.calls().map_err(|error| error.to_string()));
    let calls = match calls {
        Ok(calls) => calls,
        Err(error) => {
            eprintln!("{path}: {error}");
            return ExitCode::FAILURE;
        }
    };
    let failure = match judge(&calls, Options::default()) {
        Verdict::Linearizable => {
            println!("{} calls, linearizable", calls.len());
            return ExitCode::SUCCESS;
        }
        Verdict::Violation(violation) => Failure::NotLinearizable(violation),
        Verdict::Unknown { keys } => Failure::TooHard { keys },
    };
    println!("{} calls, {failure}", calls.len());
    ExitCode::FAILURE
}
