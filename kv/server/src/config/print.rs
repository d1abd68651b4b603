//! Printing a configuration as a file that gives it again.

use std::fmt::Write;

use clap::{ArgMatches, CommandFactory};

use super::Config;

/// The configuration as TOML, each key under its help.
pub(super) fn print(matches: &ArgMatches) -> String {
    let mut text = String::from("# The configuration of tinykv-server.\n");
    for arg in Config::command().get_arguments() {
        let (Some(key), Some(values)) = (arg.get_long(), matches.get_raw(arg.get_id().as_str()))
        else {
            continue;
        };
        let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
        let value = values.map(|value| value.to_string_lossy()).collect::<String>();
        text.push('\n');
        for line in wrap(&help) {
            writeln!(text, "# {line}").expect("writing to memory does not fail");
        }
        let is_number = value.parse::<u32>().is_ok();
        let value = if is_number { value } else { toml::Value::from(value).to_string() };
        writeln!(text, "{key} = {value}").expect("writing to memory does not fail");
    }
    text
}

/// Breaks a text into lines of at most 90 characters.
fn wrap(text: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.last_mut().expect("there is always a line");
        if !line.is_empty() && line.len() + 1 + word.len() > 90 {
            lines.push(word.to_owned());
        } else {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}
