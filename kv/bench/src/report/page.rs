//! The page that shows all charts and says how to read them.

use std::fmt::Write;

use super::chart::{escape, svg};
use super::{Group, Results};

/// How to read the page: what was kept equal, and what the words mean.
const INTRODUCTION: &str = r"
<p>Every backend stands behind the same interface, runs in a process of its own, and gets the same
keys, the same values and the same memory for its cache. Every value that is read is checked. The
backends take turns in every round, and a figure is the median of its rounds.</p>
<p>A comparison never mixes levels of durability:</p>
<ul>
<li><b>per-write</b>: each write is on the disk before the call returns;</li>
<li><b>per-batch</b>: a batch of 100 writes is on the disk before the call returns;</li>
<li><b>interval</b>: a write is on the disk at most one second after the call returned;</li>
<li><b>none</b>: a write is on the disk when the operating system likes.</li>
</ul>
<p>A hash log (bitcask) appends values to a file and keeps all keys in memory: writes and point
reads are short, and memory grows with the number of keys. An LSM tree (rocksdb, fjall) sorts in
memory and merges files in the background: writes are short, reads look in several places, and
keys need not fit in memory. A B-tree (redb) writes the pages that change to a new place: reads are
short, and each synced write writes whole pages. memory has no disk at all: it is the bound, not a rival.</p>
<p>Written bytes are those that the kernel counts for the process. Raised digits mark backends
that cannot promise something; it is said below the bars.</p>
";

/// The whole page, with its charts inside: one file that can be sent.
pub(super) fn html(results: &Results, groups: &[Group]) -> String {
    let mut out = format!(
        r##"<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Storage backends compared</title>
<style>body{{font-family:sans-serif;max-width:900px;margin:2em auto;padding:0 1em;line-height:1.45}}
svg{{width:100%;height:auto;border:1px solid #ddd;margin-top:1.5em}} </style>
</head><body><h1>Storage backends compared</h1>
<p>{} keys of 16 bytes ({} in fills at per-write), {} round(s), {}.</p>{INTRODUCTION}<h2>Questions</h2><ul>"##,
        results.scale.keys,
        results.scale.synced_keys,
        results.scale.rounds,
        escape(&results.machine)
    );
    for group in groups {
        let _ =
            write!(out, r##"<li><a href="#{}">{}</a></li>"##, group.slug(), escape(&group.title()));
    }
    out.push_str("</ul>\n");
    for group in groups {
        let _ = writeln!(out, r##"<section id="{}">{}"##, group.slug(), svg(group));
        out.push_str("</section>\n");
    }
    out.push_str("</body></html>\n");
    out
}
