//! Judges a history: `tinykv-sim check HISTORY`.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command-line program")]

use std::fs::File;
use std::io::BufReader;
use std::process::ExitCode;

use tinykv_sim::history::History;
use tinykv_sim::linear::{Options, Verdict, check};

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [command, path] = &words[..] else {
        eprintln!("usage: tinykv-sim check HISTORY");
        return ExitCode::FAILURE;
    };
    if command != "check" {
        eprintln!("`{command}` is no command; there is `check HISTORY`");
        return ExitCode::FAILURE;
    }
    let calls = File::open(path)
        .map_err(|error| error.to_string())
        .and_then(|file| History::read(BufReader::new(file)).map_err(|error| error.to_string()))
        .and_then(|history| history.calls().map_err(|error| error.to_string()));
    match calls.map(|calls| check(&calls, Options::default())) {
        Ok(Verdict::Linearizable) => {
            println!("linearizable");
            ExitCode::SUCCESS
        }
        Ok(Verdict::Violation(violation)) => {
            println!("not linearizable: keys {}", violation.keys.join(" "));
            for call in &violation.calls {
                let answer = call.answer.as_ref().map_or("?".to_owned(), |it| it.short());
                println!("  call {}: {} -> {answer}", call.id, call.op.short());
            }
            ExitCode::FAILURE
        }
        Ok(Verdict::Unknown { keys }) => {
            println!("unknown: too many orders for keys {}", keys.join(" "));
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("{path}: {error}");
            ExitCode::FAILURE
        }
    }
}
