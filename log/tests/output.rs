//! What reaches the destination: formats, order, drops, flushing, and a log that is changed while
//! it runs.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::io::{self, Write};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use slog::Logger;
use tinykv_log::{Colour, Destination, Error, Filter, Format, Guard, Options, slog, start};

/// Where the test sees what was written.
#[derive(Clone, Default)]
struct Memory(Arc<Mutex<Vec<u8>>>);

impl Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Memory {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

/// A destination that takes nothing until it is let go, once a write.
struct Gate {
    memory: Memory,
    entered: Sender<()>,
    release: Receiver<()>,
}

impl Write for Gate {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = self.entered.send(());
        let _ = self.release.recv();
        self.memory.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Room for what a test logs, unless it shows what happens without.
const QUEUE_BYTES: usize = 64 << 10;

const PLAIN: Format = Format::Terminal { colour: Colour::Never };

fn log_to(writer: impl Write + Send + 'static, format: Format) -> (Logger, Guard) {
    let options = Options {
        filter: "trace".parse().unwrap(),
        format,
        destination: Destination::Writer(Box::new(writer)),
        queue_bytes_max: QUEUE_BYTES,
        panic_hook: false,
    };
    start(options).unwrap()
}

/// What a log wrote of the records that `write` made.
fn written(format: Format, write: impl FnOnce(&Logger)) -> String {
    let memory = Memory::default();
    let (logger, guard) = log_to(memory.clone(), format);
    write(&logger);
    drop(guard);
    memory.text()
}

/// A line without its time, which is checked to look like one.
fn without_time(line: &str) -> &str {
    let (time, rest) = line.split_once(' ').unwrap();
    let shape = time.bytes().map(|b| if b.is_ascii_digit() { b'0' } else { b });
    assert_eq!(String::from_utf8(shape.collect()).unwrap(), "0000-00-00T00:00:00.000Z");
    rest
}

#[test]
fn a_line_for_people() {
    let text = written(PLAIN, |log| {
        slog::warn!(log, "merge is {}", "behind"; "segments" => 12, "cf" => "my cf", "ok" => true);
    });
    let expected = "WARN  output merge is behind segments=12 cf=\"my cf\" ok=true\n";
    assert_eq!(without_time(&text), expected);
}

#[test]
fn keys_of_a_logger_follow_those_of_the_record() {
    let text = written(PLAIN, |log| {
        let log = log.new(slog::o!("store" => 1, "region" => 2));
        slog::info!(log, "split"; "at" => "m", "n" => 3);
    });
    let fields = text.trim_end().split("split ").nth(1).unwrap();
    assert!(fields.starts_with("at=m n=3 "), "{fields}");
    assert!(fields.contains("store=1") && fields.contains("region=2"), "{fields}");
}

#[test]
fn colours_are_there_when_asked_for() {
    let text = written(Format::Terminal { colour: Colour::Always }, |log| {
        slog::error!(log, "lost");
    });
    assert!(text.contains("\x1b[31mERROR\x1b[0m"), "{text:?}");
}

#[test]
fn no_user_can_forge_a_line() {
    let evil = "x\n2026-01-01T00:00:00.000Z ERROR raft all is lost\x1b[2J";
    let text = written(PLAIN, |log| slog::info!(log, "{}", evil; "key" => evil));
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 2, "{text}");
    assert!(lines[1].starts_with("  | 2026"), "{text}");
    assert!(text.contains("key=\"x\\n2026"), "{text}");
    assert!(!text.contains('\x1b'), "{text:?}");
}

#[test]
fn a_line_for_programs() {
    let text = written(Format::Json, |log| {
        slog::info!(log, "say \"{}\"\n", "hi";
            "n" => 1, "f" => 0.5, "nan" => f64::NAN, "none" => None::<u8>, "text" => "1",
            "level" => "mine", "n" => 2);
    });
    let (head, rest) = text.split_once("\",").unwrap();
    without_time(&format!("{} ", head.strip_prefix("{\"time\":\"").unwrap()));
    assert_eq!(
        rest,
        "\"level\":\"INFO\",\"module\":\"output\",\"message\":\"say \\\"hi\\\"\\n\",\
         \"n\":1,\"f\":0.5,\"nan\":\"NaN\",\"none\":null,\"text\":\"1\",\"level_\":\"mine\",\"n_\":2}\n"
    );
}

#[test]
fn every_line_for_programs_is_json() {
    let text = written(Format::Json, |log| {
        for byte in 0..=0x7f_u8 {
            slog::info!(log, "{}", char::from(byte); "k" => format!("{}\u{2028}", char::from(byte)));
        }
    });
    assert_eq!(text.lines().count(), 128);
    for line in text.lines() {
        let value: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(value["level"], "INFO");
    }
}

#[test]
fn the_filter_can_be_changed_while_the_log_runs() {
    let memory = Memory::default();
    let (logger, guard) = log_to(memory.clone(), PLAIN);
    let set = |text: &str| guard.handle().set_filter(text.parse::<Filter>().unwrap());
    set("info");
    slog::debug!(logger, "one");
    set("info,output=debug");
    slog::debug!(logger, "two");
    set("off");
    slog::error!(logger, "three");
    assert_eq!(guard.handle().filter().to_string(), "off");
    drop(guard);
    let text = memory.text();
    assert!(text.contains("two") && !text.contains("one") && !text.contains("three"), "{text}");
}

#[test]
fn what_does_not_fit_is_dropped_counted_and_reported() {
    let memory = Memory::default();
    let (entered_tx, entered) = channel();
    let (release, release_rx) = channel();
    let gate = Gate { memory: memory.clone(), entered: entered_tx, release: release_rx };
    let (logger, guard) = log_to(gate, PLAIN);
    slog::info!(logger, "first");
    // Now the writer holds the first record and takes no other.
    entered.recv().unwrap();
    let filler = "x".repeat(QUEUE_BYTES / 4);
    for number in 0..10 {
        slog::info!(logger, "{} {}", number, filler);
    }
    let dropped = guard.handle().stats().dropped;
    // A line is a little more than a quarter of the queue.
    assert_eq!(dropped, 7);
    drop(release);
    drop(guard);
    let text = memory.text();
    assert_eq!(text.lines().count(), 1 + 3 + 1, "{text}");
    let report = without_time(text.lines().last().unwrap());
    assert_eq!(
        report,
        "WARN  log::guard log records were dropped because the queue was full dropped=7"
    );
    for number in 0..3 {
        assert!(text.contains(&format!(" {number} xxx")), "the oldest are kept");
    }
}

#[test]
fn flush_waits_until_all_is_written() {
    let memory = Memory::default();
    let (logger, guard) = log_to(memory.clone(), PLAIN);
    for number in 0..100 {
        slog::info!(logger, "record {}.", number);
        guard.handle().flush();
        assert!(memory.text().contains(&format!("record {number}.")));
    }
    assert_eq!(guard.handle().stats().written, 100);
}

#[test]
fn threads_log_whole_lines_and_none_is_lost() {
    let memory = Memory::default();
    let options = Options {
        format: Format::Json,
        destination: Destination::Writer(Box::new(memory.clone())),
        ..Options::default()
    };
    let (logger, guard) = start(options).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let logger = &logger;
            scope.spawn(move || {
                for number in 0..500 {
                    slog::info!(logger, "{}", "y".repeat(number % 50); "t" => thread, "n" => number);
                }
            });
        }
    });
    let stats = guard.handle().clone();
    drop(guard);
    let mut next = [0; 4];
    for line in memory.text().lines() {
        let value: serde_json::Value = serde_json::from_str(line).unwrap();
        let thread = usize::try_from(value["t"].as_u64().unwrap()).unwrap();
        assert_eq!(value["n"].as_u64().unwrap(), next[thread], "the order of a thread is kept");
        next[thread] += 1;
    }
    assert_eq!(next, [500; 4]);
    assert_eq!(stats.stats().written, 2000);
}

#[test]
fn a_destination_that_fails_is_counted_and_harms_nobody() {
    struct Broken;
    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::Error::other("no"))
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let (logger, guard) = log_to(Broken, PLAIN);
    slog::info!(logger, "lost");
    guard.handle().flush();
    let stats = guard.handle().stats();
    assert_eq!((stats.written, stats.failed), (0, 1));
}

#[test]
fn a_destination_that_panics_ends_the_log_but_not_the_program() {
    struct Bomb;
    impl Write for Bomb {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            panic!("a destination of this test panics");
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let (logger, guard) = log_to(Bomb, PLAIN);
    slog::info!(logger, "boom");
    guard.handle().flush();
    slog::info!(logger, "into the void");
    assert_eq!(guard.handle().stats().dropped, 1);
}

#[test]
fn a_value_may_log_while_it_is_shown() {
    struct Chatty<'a>(&'a Logger);
    impl std::fmt::Display for Chatty<'_> {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            slog::info!(self.0, "inner");
            f.write_str("shown")
        }
    }
    let text = written(PLAIN, |log| slog::info!(log, "outer {}", Chatty(log)));
    assert_eq!(text.lines().count(), 2, "{text}");
    assert!(text.contains("outer shown") && text.contains("inner"), "{text}");
}

#[test]
fn options_that_make_no_sense_are_refused() {
    let options = Options { queue_bytes_max: 1, ..Options::default() };
    assert!(matches!(start(options), Err(Error::Option { option: "queue_bytes_max", .. })));
}
