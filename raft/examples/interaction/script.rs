//! The script format: directives, each with the output it had.
//!
//! ```text
//! # A comment.
//! command argument key=value key=(value, value)
//! further input
//! ----
//! output, up to a blank line
//! ```
//!
//! Output with blank lines stands between two pairs of `----` lines. Arguments are ordered; quotes
//! are part of them.

/// One command with its arguments and the lines below it.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Directive {
    pub(crate) command: String,
    pub(crate) arguments: Vec<Argument>,
    pub(crate) input: String,
}

/// `key`, `key=value` or `key=(value, value)`.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Argument {
    pub(crate) key: String,
    pub(crate) values: Vec<String>,
}

impl Directive {
    /// Returns the values given for `key`, in order.
    pub(crate) fn values<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        let named = self.arguments.iter().filter(move |argument| argument.key == key);
        named.flat_map(|argument| argument.values.iter().map(String::as_str))
    }

    /// Returns the arguments that are numbers without values: mostly nodes.
    pub(crate) fn ids(&self) -> Result<Vec<u64>, String> {
        let bare = self.arguments.iter().filter(|argument| argument.values.is_empty());
        bare.map(|argument| number(&argument.key)).collect()
    }

    /// Returns the first argument as a number.
    pub(crate) fn first_id(&self) -> Result<u64, String> {
        let first = self.arguments.first().ok_or("an argument is missing")?;
        number(&first.key)
    }
}

/// Parses a number.
pub(crate) fn number(text: &str) -> Result<u64, String> {
    text.trim().parse().map_err(|_| format!("not a number: {text}"))
}

/// Parses a truth value.
pub(crate) fn truth(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(format!("strconv.ParseBool: parsing {text:?}: invalid syntax")),
    }
}

/// Parses the line of a directive.
pub(crate) fn parse_line(line: &str) -> Result<Directive, String> {
    let bad = || format!("cannot parse directive: {line}");
    let mut rest = line.trim();
    let command = take_until(&mut rest, &[' ']).to_owned();
    let mut arguments = Vec::new();
    rest = rest.trim_start();
    while !rest.is_empty() {
        let key = take_until(&mut rest, &[' ', '=']).to_owned();
        if key.is_empty() {
            return Err(bad());
        }
        let mut values = Vec::new();
        if let Some(value) = rest.strip_prefix('=') {
            rest = value;
            if let Some(list) = rest.strip_prefix('(') {
                let end = list.find(')').ok_or_else(bad)?;
                values = list[..end].split(',').map(|value| value.trim().to_owned()).collect();
                rest = &list[end + 1..];
            } else {
                values.push(take_until(&mut rest, &[' ']).to_owned());
            }
        }
        arguments.push(Argument { key, values });
        rest = rest.trim_start();
    }
    Ok(Directive { command, arguments, input: String::new() })
}

fn take_until<'a>(rest: &mut &'a str, ends: &[char]) -> &'a str {
    let (taken, left) = rest.split_at(rest.find(ends).unwrap_or(rest.len()));
    *rest = left;
    taken
}

/// Runs every directive of a script, and returns the script with the new output in the place of the
/// old. All else stays as it is.
pub(crate) fn replay(
    text: &str,
    run: &mut dyn FnMut(&Directive) -> String,
) -> Result<String, String> {
    let mut result = String::new();
    let mut lines = text.lines().enumerate().peekable();
    while let Some((place, line)) = lines.next() {
        push_line(&mut result, line);
        let word = line.split_whitespace().next().unwrap_or("#");
        // A subtest's name stands alone, without output.
        if word.starts_with('#') || word == "subtest" {
            continue;
        }
        let at = |error| format!("line {}: {error}", place + 1);
        let mut whole = line.trim_end().to_owned();
        while let Some(head) = whole.strip_suffix('\\') {
            let (_, next) =
                lines.next().ok_or_else(|| at("the file ends in a directive".into()))?;
            push_line(&mut result, next);
            whole = format!("{head} {}", next.trim());
        }
        let mut directive = parse_line(&whole).map_err(at)?;
        let mut input = Vec::new();
        loop {
            let (_, next) = lines.next().ok_or_else(|| at("a directive lacks its ----".into()))?;
            push_line(&mut result, next);
            if next == "----" {
                break;
            }
            input.push(next);
        }
        directive.input = input.join("\n");
        let fenced = lines.next_if(|(_, line)| *line == "----").is_some();
        if fenced {
            skip_fence(&mut lines);
        } else {
            while lines.next_if(|(_, line)| !line.trim().is_empty()).is_some() {}
        }
        push_output(&mut result, &run(&directive));
    }
    Ok(result)
}

/// Skips fenced output, up to and with the two closing lines.
fn skip_fence<'a>(lines: &mut impl Iterator<Item = (usize, &'a str)>) {
    let mut fences = 0;
    for (_, line) in lines {
        fences = if line == "----" { fences + 1 } else { 0 };
        if fences == 2 {
            break;
        }
    }
}

fn push_output(result: &mut String, output: &str) {
    let output = output.trim_end_matches('\n');
    let fenced = output.split('\n').any(str::is_empty) && !output.is_empty();
    if fenced {
        push_line(result, "----");
    }
    if !output.is_empty() {
        push_line(result, output);
    }
    if fenced {
        push_line(result, "----");
        push_line(result, "----");
    }
}

fn push_line(result: &mut String, line: &str) {
    result.push_str(line);
    result.push('\n');
}
