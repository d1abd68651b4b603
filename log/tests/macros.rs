//! The macros and the log that they use. One test, since a process has one such log.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::cell::Cell;

use tinykv_log::{Destination, Error, FileOptions, Filter, Format, Level, Options};

fn options(path: &std::path::Path) -> Options {
    Options {
        filter: "info".parse().unwrap(),
        format: Format::Json,
        destination: Destination::File(FileOptions::new(path)),
        ..Options::default()
    }
}

#[test]
fn a_program_logs_from_its_start_to_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("logs").join("tinykv.log");
    let evaluated = Cell::new(0);
    let count = || {
        evaluated.set(evaluated.get() + 1);
        evaluated.get()
    };

    // Before the log is there, nothing is evaluated.
    tinykv_log::error!("nobody listens {}", count());
    assert!(tinykv_log::installed().is_none());

    let guard = tinykv_log::init(options(&path)).unwrap();
    assert!(matches!(tinykv_log::init(options(&path)), Err(Error::AlreadyInstalled)));

    tinykv_log::info!("first"; "n" => count());
    tinykv_log::debug!("disabled {}", count(); "n" => count());
    assert_eq!(evaluated.get(), 1, "a disabled record evaluates nothing");
    assert!(tinykv_log::enabled(Level::Info, module_path!()));
    assert!(!tinykv_log::enabled(Level::Debug, module_path!()));

    tinykv_log::installed().unwrap().set_filter("warn,macros=debug".parse::<Filter>().unwrap());
    tinykv_log::debug!("second"; "n" => count());
    assert!(!tinykv_log::enabled(Level::Info, "elsewhere"));

    // The hook logs a panic and has it on disk before the thread ends.
    let thread = std::thread::Builder::new().name("doomed".to_owned());
    assert!(thread.spawn(|| panic!("for a test")).unwrap().join().is_err());
    let text = std::fs::read_to_string(&path).unwrap();
    let last: serde_json::Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    assert_eq!(last["level"], "ERROR");
    assert_eq!(last["thread"], "doomed");
    assert!(last["message"].as_str().unwrap().starts_with("panic: for a test"), "{last}");
    assert!(last["location"].as_str().unwrap().contains("macros.rs"), "{last}");

    tinykv_log::warn!("last");
    drop(guard);
    assert!(!tinykv_log::enabled(Level::Error, module_path!()), "the log has ended");
    tinykv_log::error!("too late {}", count());

    let text = std::fs::read_to_string(&path).unwrap();
    let messages: Vec<String> = text
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .map(|value| value["message"].as_str().unwrap().lines().next().unwrap().to_owned())
        .collect();
    assert_eq!(messages, ["first", "second", "panic: for a test", "last"]);
    assert_eq!(evaluated.get(), 2);
}
