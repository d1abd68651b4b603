//! `COMMAND`: what the table says about the commands.

use proto::resp::{Command, Writer};

use super::args::is;
use super::session::{Answer, Session};
use super::table::{COMMANDS, Spec, Step, by_name, no_such_form};

/// `COMMAND [COUNT | LIST | INFO [name ...] | DOCS [name ...]]`
pub(super) fn command(_: &mut Session<'_>, command: &Command, out: &mut Writer<'_>) -> Answer {
    let named = || -> Vec<Option<&'static Spec>> {
        match command.len() {
            0..=2 => COMMANDS.iter().map(Some).collect(),
            _ => command.iter().skip(2).map(by_name).collect(),
        }
    };
    if command.len() == 1 {
        out.array(COMMANDS.len());
        COMMANDS.iter().for_each(|spec| write_info(spec, out));
    } else if is(command, 1, "count") && command.len() == 2 {
        out.integer(i64::try_from(COMMANDS.len()).unwrap_or(i64::MAX));
    } else if is(command, 1, "list") && command.len() == 2 {
        out.array(COMMANDS.len());
        COMMANDS.iter().for_each(|spec| out.bulk(spec.name.as_bytes()));
    } else if is(command, 1, "info") {
        let specs = named();
        out.array(specs.len());
        for spec in specs {
            match spec {
                Some(spec) => write_info(spec, out),
                None => out.null_array(),
            }
        }
    } else if is(command, 1, "docs") {
        let specs: Vec<&Spec> = named().into_iter().flatten().collect();
        out.map(specs.len());
        specs.into_iter().for_each(|spec| write_docs(spec, out));
    } else {
        return Err(no_such_form(command, &["count", "list"]));
    }
    Ok(Step::Replied)
}

/// A command as `COMMAND INFO` tells it.
fn write_info(spec: &Spec, out: &mut Writer<'_>) {
    out.array(10);
    out.bulk(spec.name.as_bytes());
    out.integer(spec.arity);
    out.set(spec.flags.len());
    spec.flags.iter().for_each(|flag| out.simple(flag));
    let (first, last, step) = spec.keys;
    [first, last, step].into_iter().for_each(|number| out.integer(number));
    // Categories, tips, key specifications, subcommands: none are told.
    out.set(0);
    out.array(0);
    out.array(0);
    out.array(0);
}

/// A command as `COMMAND DOCS` tells it.
fn write_docs(spec: &Spec, out: &mut Writer<'_>) {
    out.bulk(spec.name.as_bytes());
    out.map(3);
    let facts = [("summary", spec.summary), ("since", spec.since), ("group", spec.group.name())];
    for (key, value) in facts {
        out.bulk(key.as_bytes());
        out.bulk(value.as_bytes());
    }
}
