//! `INFO` and `CONFIG`: facts about the server.

use std::fmt::{Display, Write as _};

use engine::Stats;
use proto::resp::{Command, Writer};

use super::args::is;
use super::connection::REDIS_VERSION;
use super::glob;
use super::session::{Answer, Session};
use super::table::{Problem, Step, no_such_form};
use crate::config::{EngineKind, Sync};
use crate::context::Context;

/// What writes a section.
type Section = fn(&Context, &Stats, &mut String);

/// The sections, and what writes them.
const SECTIONS: [(&str, Section); 7] = [
    ("Server", server),
    ("Clients", clients),
    ("Memory", memory),
    ("Persistence", persistence),
    ("Stats", stats),
    ("Replication", replication),
    ("Keyspace", keyspace),
];

/// `INFO [section ...]`
pub(super) fn info(session: &mut Session<'_>, command: &Command, out: &mut Writer<'_>) -> Answer {
    let asks = |name: &str| {
        (1..command.len()).any(|index| {
            is(command, index, name)
                || ["all", "default", "everything"].iter().any(|it| is(command, index, it))
        })
    };
    let engine = session.context.store.engine.stats();
    let mut text = String::new();
    for (name, write) in SECTIONS {
        if command.len() == 1 || asks(name) {
            if !text.is_empty() {
                text.push_str("\r\n");
            }
            let _ = write!(text, "# {name}\r\n");
            write(session.context, &engine, &mut text);
        }
    }
    out.verbatim(*b"txt", text.as_bytes());
    Ok(Step::Replied)
}

/// Appends a line.
fn fact(text: &mut String, key: &str, value: impl Display) {
    write!(text, "{key}:{value}\r\n").expect("writing to memory does not fail");
}

fn server(context: &Context, _: &Stats, text: &mut String) {
    fact(text, "redis_version", REDIS_VERSION);
    fact(text, "redis_mode", "standalone");
    fact(text, "tinykv_version", env!("CARGO_PKG_VERSION"));
    fact(text, "os", std::env::consts::OS);
    fact(text, "arch_bits", usize::BITS);
    fact(text, "process_id", std::process::id());
    let addresses = context.addresses.get().copied().unwrap_or_default();
    fact(text, "tcp_port", addresses.resp.map_or(0, |address| address.port()));
    let uptime = context.started.elapsed().as_secs();
    fact(text, "uptime_in_seconds", uptime);
    fact(text, "uptime_in_days", uptime / 86_400);
    fact(text, "engine", context.config.engine);
}

fn clients(context: &Context, _: &Stats, text: &mut String) {
    fact(text, "connected_clients", context.connections.len());
    fact(text, "maxclients", context.config.max_connections);
    fact(text, "blocked_clients", 0);
}

fn memory(_: &Context, engine: &Stats, text: &mut String) {
    let used: u64 = engine.cfs.iter().map(|cf| cf.bytes).sum();
    fact(text, "used_memory", used);
    fact(text, "maxmemory", 0);
    fact(text, "maxmemory_policy", "noeviction");
}

fn persistence(context: &Context, engine: &Stats, text: &mut String) {
    fact(text, "loading", 0);
    fact(text, "async_loading", 0);
    fact(text, "rdb_bgsave_in_progress", 0);
    fact(text, "aof_enabled", u8::from(context.config.engine != EngineKind::Memory));
    fact(text, "sync", context.config.sync);
    fact(text, "disk_bytes", engine.disk_bytes);
    fact(text, "dead_bytes", engine.dead_bytes);
    fact(text, "syncs", engine.syncs);
}

fn stats(context: &Context, engine: &Stats, text: &mut String) {
    let metrics = &context.metrics;
    fact(text, "total_connections_received", metrics.connections_resp.get());
    fact(text, "total_commands_processed", metrics.resp.total());
    fact(text, "total_net_input_bytes", metrics.bytes_in.get());
    fact(text, "total_net_output_bytes", metrics.bytes_out.get());
    fact(text, "rejected_connections", metrics.rejected.connections.get());
    fact(text, "batches_written", engine.batches);
    fact(text, "written_bytes", engine.written_bytes);
}

fn replication(_: &Context, _: &Stats, text: &mut String) {
    fact(text, "role", "master");
    fact(text, "connected_slaves", 0);
}

fn keyspace(_: &Context, engine: &Stats, text: &mut String) {
    let keys = engine.cfs[engine::Cf::Default.index()].keys;
    let expires = engine.cfs[engine::Cf::Expiry.index()].keys;
    if keys > 0 {
        fact(text, "db0", format_args!("keys={keys},expires={expires},avg_ttl=0"));
    }
}

/// `TIME`: seconds since the epoch, and microseconds of the running one.
pub(super) fn time(session: &mut Session<'_>, _: &Command, out: &mut Writer<'_>) -> Answer {
    let ms = session.now.0;
    out.array(2);
    out.bulk((ms / 1000).to_string().as_bytes());
    out.bulk((ms % 1000 * 1000).to_string().as_bytes());
    Ok(Step::Replied)
}

/// `CONFIG GET pattern ...`
pub(super) fn config(session: &mut Session<'_>, command: &Command, out: &mut Writer<'_>) -> Answer {
    if is(command, 1, "resetstat") && command.len() == 2 {
        return Err(Problem::Text("ERR counters are for Prometheus and are never reset"));
    }
    if is(command, 1, "set") {
        let text = "ERR the configuration is changed in its file; see tinykv-server --print-config";
        return Err(Problem::Text(text));
    }
    if !is(command, 1, "get") || command.len() < 3 {
        return Err(no_such_form(command, &["get", "resetstat"]));
    }
    let asked = |key: &str| {
        command.iter().skip(2).any(|it| glob::matches(&it.to_ascii_lowercase(), key.as_bytes()))
    };
    let facts: Vec<_> = redis_config(session).into_iter().filter(|(key, _)| asked(key)).collect();
    out.map(facts.len());
    for (key, value) in facts {
        out.bulk(key.as_bytes());
        out.bulk(value.as_bytes());
    }
    Ok(Step::Replied)
}

/// The configuration in the words of redis.
fn redis_config(session: &Session<'_>) -> Vec<(&'static str, String)> {
    let config = &session.context.config;
    let keeps = config.engine != EngineKind::Memory;
    let fsync = match config.sync {
        Sync::Always => "always",
        Sync::Interval => "everysec",
        Sync::Never => "no",
    };
    vec![
        ("appendfsync", fsync.into()),
        ("appendonly", if keeps { "yes" } else { "no" }.into()),
        ("databases", "1".into()),
        ("dir", config.path.display().to_string()),
        ("maxclients", config.max_connections.to_string()),
        ("maxmemory", "0".into()),
        ("maxmemory-policy", "noeviction".into()),
        ("proto-max-bulk-len", config.max_request_size.0.to_string()),
        ("save", String::new()),
        ("timeout", config.idle_timeout.0.as_secs().to_string()),
    ]
}
