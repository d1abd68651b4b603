//! The same rules on what strace sees of a process of its own, where strace can be had: that each
//! operation of the log is the system call that it should be.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tinykv_wal::{Durability, RealFs, SharedWal};

use crate::rules::Rules;
use crate::trace::{Event, FileId, lsn_of};
use crate::{batch, options};

const FOLDER: &str = "TINYKV_WAL_ORDER_FOLDER";

/// What is printed when a write is answered, before its lsn.
const ANSWER: &str = "answer ";

/// Writes with two threads; does nothing unless it is told a folder.
#[test]
fn child() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let (wal, _) = SharedWal::open(RealFs::shared(), Path::new(&folder), options()).unwrap();
    std::thread::scope(|scope| {
        for group in 1..=2 {
            let wal = wal.clone();
            scope.spawn(move || {
                for index in 1..=150 {
                    let lsn = wal.write(batch(group, index), Durability::Synced).unwrap();
                    // One system call.
                    let line = format!("{ANSWER}{}\n", lsn.0);
                    std::io::stdout().write_all(line.as_bytes()).unwrap();
                    std::io::stdout().flush().unwrap();
                    if index % 10 == 0 {
                        wal.purge().unwrap();
                    }
                }
            });
        }
    });
}

#[test]
fn the_system_calls_are_in_order() {
    let mut tried = Command::new("strace");
    let tried = tried.args(["-o", "/dev/null", "true"]).stderr(Stdio::null()).status();
    if !tried.is_ok_and(|status| status.success()) {
        println!("skipped: strace is not installed, or may not trace");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (log, output) = (folder.path().join("log"), folder.path().join("calls"));
    let calls = "openat,pwrite64,fdatasync,fsync,?rename,renameat,renameat2,?unlink,unlinkat,write";
    let status = Command::new("strace")
        .args(["-f", "-xx", "-s", "300", "-e", &format!("trace={calls}"), "-o"])
        .arg(&output)
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "strace::child", "--nocapture"])
        .env(FOLDER, &log)
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success());
    let text = std::fs::read_to_string(&output).unwrap();
    let events = events(&text, &log);
    let seen = Rules::check(&events).unwrap_or_else(|why| panic!("{why}"));
    println!("T9 under strace: {seen:?}");
    assert!(seen.answers == 300 && seen.rolls > 2 && seen.recycled > 0, "{seen:?}");
}

/// What a descriptor is open on.
#[derive(Clone, Debug)]
enum Open {
    File(FileId),
    Folder(PathBuf),
}

/// Reads the lines of `strace -f -xx`.
#[derive(Default)]
struct Reader {
    open: BTreeMap<u64, Open>,
    names: BTreeMap<PathBuf, FileId>,
    files: usize,
    /// By thread: the beginning of a call that another thread's interrupted.
    unfinished: BTreeMap<String, String>,
    events: Vec<Event>,
}

fn events(text: &str, folder: &Path) -> Vec<Event> {
    let mut reader = Reader::default();
    for line in text.lines() {
        let (thread, call) = line.split_once(' ').unwrap();
        let call = call.trim_start();
        if let Some(begun) = call.strip_suffix(" <unfinished ...>") {
            reader.begins(begun);
            reader.unfinished.insert(thread.to_owned(), begun.to_owned());
        } else if let Some(resumed) = call.strip_prefix("<... ") {
            let rest = resumed.split_once(" resumed>").unwrap().1;
            if let Some(begun) = reader.unfinished.remove(thread) {
                reader.ends(&format!("{begun}{rest}"), folder);
            }
        } else if !call.starts_with("+++") && !call.starts_with("---") {
            reader.begins(call);
            reader.ends(call, folder);
        }
    }
    reader.events
}

/// The name of a call and its arguments.
fn split(call: &str) -> (&str, &str) {
    call.split_once('(').unwrap_or((call, ""))
}

/// The bytes of each string in the arguments, which strace writes as `\x..`.
fn strings(args: &str) -> Vec<Vec<u8>> {
    let quoted = args.split('"').skip(1).step_by(2);
    let bytes = |text: &str| {
        text.split("\\x").skip(1).map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect()
    };
    quoted.map(bytes).collect()
}

fn path(bytes: &[u8]) -> PathBuf {
    PathBuf::from(String::from_utf8(bytes.to_vec()).unwrap())
}

fn descriptor(args: &str) -> u64 {
    let digits = args.split(|c: char| !c.is_ascii_digit()).next().unwrap();
    digits.parse().unwrap_or(u64::MAX)
}

impl Reader {
    /// What counts from the moment when a call begins.
    fn begins(&mut self, call: &str) {
        let (name, args) = split(call);
        match (name, self.open.get(&descriptor(args))) {
            ("fdatasync" | "fsync", Some(Open::File(file))) => {
                self.events.push(Event::SyncBegins { file: *file });
            }
            ("fsync", Some(Open::Folder(path))) => {
                self.events.push(Event::DirSyncBegins { path: path.clone() });
            }
            ("write", _) => {
                let text = strings(args).concat();
                let lines = String::from_utf8_lossy(&text).into_owned();
                for lsn in lines.lines().filter_map(|line| line.split(ANSWER).nth(1)) {
                    self.events.push(Event::Answer { lsn: lsn.parse().unwrap() });
                }
            }
            ("rename" | "renameat" | "renameat2", _) => {
                let names: Vec<PathBuf> = strings(args).iter().map(|bytes| path(bytes)).collect();
                let (from, to) = (names[0].clone(), names[1].clone());
                if let Some(file) = self.names.remove(&from) {
                    self.names.insert(to.clone(), file);
                }
                self.events.push(Event::Rename { from, to });
            }
            ("unlink" | "unlinkat", _) => {
                self.events.push(Event::Remove { path: path(&strings(args)[0]) });
            }
            _ => {}
        }
    }

    /// What counts from the moment when a call has returned.
    fn ends(&mut self, call: &str, folder: &Path) {
        let (name, args) = split(call);
        let result = call.rsplit_once(" = ").map_or("", |(_, result)| result);
        match (name, self.open.get(&descriptor(args))) {
            ("openat", _) => self.opened(args, descriptor(result), folder),
            ("pwrite64", Some(Open::File(file))) => {
                let (file, lsn) = (*file, lsn_of(&strings(args)[0]));
                self.events.push(match lsn {
                    Some(lsn) => Event::Block { file, lsn },
                    None => Event::Write { file },
                });
            }
            ("fdatasync" | "fsync", Some(Open::File(file))) if result == "0" => {
                self.events.push(Event::SyncEnds { file: *file });
            }
            ("fsync", Some(Open::Folder(path))) if result == "0" => {
                self.events.push(Event::DirSyncEnds { path: path.clone() });
            }
            _ => {}
        }
    }

    fn opened(&mut self, args: &str, descriptor: u64, folder: &Path) {
        let path = path(&strings(args)[0]);
        self.open.remove(&descriptor);
        if path == folder {
            self.open.insert(descriptor, Open::Folder(path));
            return;
        }
        let is_log = path.extension().is_some_and(|end| end == "wal" || end == "tmp");
        if !is_log || !path.starts_with(folder) || descriptor == u64::MAX {
            return;
        }
        let id = self.names.get(&path).copied().unwrap_or_else(|| {
            self.files += 1;
            self.names.insert(path.clone(), self.files);
            self.events.push(Event::Create { file: self.files, path });
            self.files
        });
        self.open.insert(descriptor, Open::File(id));
    }
}
