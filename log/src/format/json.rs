//! Lines for programs.
//!
//! ```text
//! {"time":"2024-02-29T23:59:59.999Z","level":"WARN","module":"engine::merge","message":"..","segments":12}
//! ```
//!
//! A record's key that is one of the first four, or is there twice, gets a `_` behind it, since
//! an object has each key once.

use super::{Line, time};
use crate::filter::strip_crate_prefix;
use crate::level;

/// Appends a line.
pub(super) fn append(line: &Line<'_>, out: &mut String) {
    out.push_str("{\"time\":\"");
    time::append(line.time, out);
    out.push_str("\",\"level\":\"");
    out.push_str(level::record_name(line.record.level()));
    out.push_str("\",\"module\":");
    append_text(strip_crate_prefix(line.record.module()), out);
    out.push_str(",\"message\":");
    append_text(&line.record.msg().to_string(), out);
    let mut used = vec!["time", "level", "module", "message"];
    for field in line.fields {
        let key = if used.contains(&field.key) {
            &format!("{}_", field.key)
        } else {
            used.push(field.key);
            field.key
        };
        out.push(',');
        append_text(key, out);
        out.push(':');
        if field.quoted {
            append_text(&field.value, out);
        } else {
            out.push_str(&field.value);
        }
    }
    out.push_str("}\n");
}

/// Appends a text as JSON has it.
fn append_text(text: &str, out: &mut String) {
    out.push_str(&serde_json::to_string(text).expect("a text is always JSON"));
}
