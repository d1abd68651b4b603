//! What the tabulator key completes.

use clap::CommandFactory;
use rustyline::completion::Completer;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::validate::Validator;
use rustyline::{Context, Helper};

use super::Line;

/// Completes commands, their options, column families and encodings, from the definitions that
/// also read the line.
pub(super) struct Completion;

impl Completer for Completion {
    type Candidate = String;

    fn complete(
        &self,
        line: &str,
        pos: usize,
        _: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<String>)> {
        Ok(candidates(&line[..pos]))
    }
}

impl Hinter for Completion {
    type Hint = String;
}

impl Highlighter for Completion {}

impl Validator for Completion {}

impl Helper for Completion {}

/// What may stand at the end of `line` instead of its last word, and where that word starts.
fn candidates(line: &str) -> (usize, Vec<String>) {
    let start = line.rfind([' ', '\t']).map_or(0, |blank| blank + 1);
    let (before, word) = line.split_at(start);
    let mut before = before.split_whitespace();
    let commands = Line::command();
    let words = match before.next() {
        None => command_names(&commands),
        Some("help") => command_names(&commands),
        Some("cf") => ["default", "lock", "write"].map(str::to_owned).to_vec(),
        Some(name) => match commands.find_subcommand(name) {
            Some(command) if word.starts_with("--") => option_names(command),
            Some(command) => first_values(command),
            None => Vec::new(),
        },
    };
    (start, words.into_iter().filter(|candidate| candidate.starts_with(word)).collect())
}

fn command_names(commands: &clap::Command) -> Vec<String> {
    let names = commands.get_subcommands().flat_map(clap::Command::get_name_and_visible_aliases);
    let mut names: Vec<String> = names.map(str::to_owned).chain(["help".to_owned()]).collect();
    names.sort_unstable();
    names
}

fn option_names(command: &clap::Command) -> Vec<String> {
    let options = command.get_arguments().filter_map(clap::Arg::get_long);
    options.map(|option| format!("--{option}")).collect()
}

/// The legal values of a command's first argument, if they are a list.
fn first_values(command: &clap::Command) -> Vec<String> {
    let Some(first) = command.get_positionals().next() else { return Vec::new() };
    first.get_possible_values().iter().map(|value| value.get_name().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, start: usize, words: &[&str]) {
        assert_eq!(candidates(line), (start, words.iter().map(|&word| word.to_owned()).collect()));
    }

    #[test]
    fn commands_options_and_values_are_completed() {
        check("sc", 0, &["scan"]);
        check("batch-", 0, &["batch-del", "batch-get", "batch-put"]);
        check("help ca", 5, &["cas"]);
        check("scan --re", 5, &["--reverse"]);
        check("scan --reverse --k", 15, &["--keys-only"]);
        check("cf w", 3, &["write"]);
        check("encoding ", 9, &["text", "hex", "base64", "escaped"]);
        check("get k", 4, &[]);
        check("unknown --", 8, &[]);
    }
}
