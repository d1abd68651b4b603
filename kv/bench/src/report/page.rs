//! The page that shows all charts and says how to read them.

use std::fmt::Write;

use super::chart::{escape, svg};
use super::{Group, Results};
use crate::backend::SPACE;

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
<p>A bar starts at zero. One with a gap is cut: it is several times as long as there is room for, and
its figure says how long. Raised digits mark backends that cannot promise something; it is said below
the bars. A figure of one round on a machine that does other things too is worth little: look at
differences of a factor, and run more rounds (<code>--rounds</code>) for smaller ones.</p>
";

/// The whole page, with its charts inside: one file that can be sent.
pub(super) fn html(results: &Results, groups: &[Group]) -> String {
    let mut out = format!(
        r##"<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Storage backends compared</title>
<style>body{{font-family:sans-serif;max-width:900px;margin:2em auto;padding:0 1em;line-height:1.45}}
svg{{width:100%;height:auto;border:1px solid #ddd}} section{{margin-top:2em}}
section p{{margin:.4em 0}} </style>
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
        let (slug, explained) = (group.slug(), escape(explain(&group.question)));
        let _ = writeln!(out, r##"<section id="{slug}"><p>{explained}</p>{}"##, svg(group));
        out.push_str("</section>\n");
    }
    out.push_str("</body></html>\n");
    out
}

/// What a question asks, for those who see its chart.
fn explain(question: &str) -> &'static str {
    match question {
        "fill" => {
            "Keys are set one by one (or a batch at a time): in the order of the keys, in a random \
             order, and then all of them again."
        }
        "peak memory" => "The largest resident size of the process, as the kernel tells it.",
        "write amplification" => {
            "Bytes that the process caused to be written to the disk, as the kernel counts them, \
             for each byte of keys and values. Below 1 where values are compressed, or are still \
             in memory."
        }
        SPACE => {
            "The size of the store's folder for each byte of keys and values that are live. What \
             is reserved ahead counts: with little data it is most of it."
        }
        "concurrent writes" => "Threads overwrite keys of a full store, one key a write.",
        "concurrent reads" => "Threads read keys of a full store.",
        "point reads" => {
            "One thread reads keys: each as likely as any other, or a few very often (Zipf), or \
             such as are not there. All data fits into the cache."
        }
        "point reads, cache an eighth of the data" => {
            "The same with a cache of an eighth of the data. The system's own cache of files is \
             not emptied: this is about what an engine keeps, not about the disk."
        }
        "scans" => "Neighbouring keys with their values; a figure counts keys, not scans.",
        "mixed load" => "One thread reads and overwrites keys of a full store.",
        "delete-heavy" => {
            "Nine keys of ten are removed, one by one; then what is left is read in order."
        }
        "stalls" => {
            "One thread reads and another overwrites: as it comes, and while the store merges or \
             compacts everything."
        }
        "tail latency (p99.9)" => {
            "Of a thousand calls of that load the slowest: what merging costs those who wait."
        }
        "reopen" => "From opening a store with all keys to its first answer.",
        "lost by a kill" => {
            "A process writes and is killed with SIGKILL at once. What the operating system has \
             is kept: this is no power loss. What is lost had stayed in the process."
        }
        _ => "",
    }
}
