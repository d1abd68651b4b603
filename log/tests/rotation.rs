//! Log files that rotate.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use tempfile::TempDir;
use tinykv_log::{Destination, Error, FileOptions, Options, RotatingFile, start};

const HOUR: Duration = Duration::from_secs(3600);

fn options(folder: &TempDir) -> FileOptions {
    let path = folder.path().join("t.log");
    FileOptions { path, bytes_max: Some(10), age_max: None, files_kept: 2 }
}

/// The files in a folder with what is in them, by name.
fn files(folder: &Path) -> Vec<(String, String)> {
    let mut files: Vec<(String, String)> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| {
            let name = entry.file_name().into_string().unwrap();
            (name, fs::read_to_string(entry.path()).unwrap_or_default())
        })
        .collect();
    files.sort();
    files
}

fn expect(folder: &TempDir, expected: &[(&str, &str)]) {
    let expected: Vec<(String, String)> =
        expected.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
    assert_eq!(files(folder.path()), expected);
}

#[test]
fn a_full_file_is_renamed_and_the_oldest_goes() {
    let folder = tempfile::tempdir().unwrap();
    let mut file = RotatingFile::open(options(&folder)).unwrap();
    let now = SystemTime::now();
    file.write_lines(now, b"aaaa\n").unwrap();
    file.write_lines(now, b"bbbb\n").unwrap();
    expect(&folder, &[("t.log", "aaaa\nbbbb\n")]);
    file.write_lines(now, b"c\n").unwrap();
    expect(&folder, &[("t.log", "c\n"), ("t.log.1", "aaaa\nbbbb\n")]);
    file.write_lines(now, b"dddddddd\neeeeeeeee\n").unwrap();
    expect(&folder, &[("t.log", "eeeeeeeee\n"), ("t.log.1", "dddddddd\n"), ("t.log.2", "c\n")]);
    file.write_lines(now, b"f\n").unwrap();
    expect(&folder, &[("t.log", "f\n"), ("t.log.1", "eeeeeeeee\n"), ("t.log.2", "dddddddd\n")]);
}

#[test]
fn a_line_is_never_split_even_when_it_is_larger_than_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let mut file = RotatingFile::open(options(&folder)).unwrap();
    let long = "a line of more than ten bytes\n";
    let batch = format!("x\n{long}y\n");
    file.write_lines(SystemTime::now(), batch.as_bytes()).unwrap();
    expect(&folder, &[("t.log", "y\n"), ("t.log.1", long), ("t.log.2", "x\n")]);
}

#[test]
fn an_old_file_is_renamed_when_the_next_line_comes() {
    let folder = tempfile::tempdir().unwrap();
    let options = FileOptions { bytes_max: None, age_max: Some(HOUR), ..options(&folder) };
    let mut file = RotatingFile::open(options).unwrap();
    let start = SystemTime::now();
    file.write_lines(start, b"one\n").unwrap();
    file.write_lines(start + HOUR / 2, b"two\n").unwrap();
    file.write_lines(start - HOUR, b"the clock was set back\n").unwrap();
    file.write_lines(start + HOUR, b"three\n").unwrap();
    let old = "one\ntwo\nthe clock was set back\n";
    expect(&folder, &[("t.log", "three\n"), ("t.log.1", old)]);
    file.write_lines(start + HOUR + HOUR / 2, b"four\n").unwrap();
    expect(&folder, &[("t.log", "three\nfour\n"), ("t.log.1", old)]);
}

#[test]
fn a_reopened_file_goes_on_where_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let now = SystemTime::now();
    RotatingFile::open(options(&folder)).unwrap().write_lines(now, b"aaaa\n").unwrap();
    let mut file = RotatingFile::open(options(&folder)).unwrap();
    file.write_lines(now, b"bbbb\n").unwrap();
    file.write_lines(now, b"cccc\n").unwrap();
    expect(&folder, &[("t.log", "cccc\n"), ("t.log.1", "aaaa\nbbbb\n")]);
}

#[test]
fn a_reopened_file_keeps_its_age() {
    let folder = tempfile::tempdir().unwrap();
    let options = FileOptions { bytes_max: None, age_max: Some(HOUR), ..options(&folder) };
    let now = SystemTime::now();
    RotatingFile::open(options.clone()).unwrap().write_lines(now, b"old\n").unwrap();
    let mut file = RotatingFile::open(options).unwrap();
    file.write_lines(now + 2 * HOUR, b"new\n").unwrap();
    expect(&folder, &[("t.log", "new\n"), ("t.log.1", "old\n")]);
}

#[test]
fn no_file_is_kept_if_none_is_wanted() {
    let folder = tempfile::tempdir().unwrap();
    let options = FileOptions { files_kept: 0, ..options(&folder) };
    let mut file = RotatingFile::open(options).unwrap();
    file.write_lines(SystemTime::now(), b"aaaaaaaa\nbbbbbbbb\n").unwrap();
    expect(&folder, &[("t.log", "bbbbbbbb\n")]);
}

#[test]
fn a_rotation_that_fails_loses_no_line() {
    let folder = tempfile::tempdir().unwrap();
    // A folder that is not empty cannot be replaced by a file.
    fs::create_dir_all(folder.path().join("t.log.1").join("in the way")).unwrap();
    let mut file = RotatingFile::open(FileOptions { files_kept: 1, ..options(&folder) }).unwrap();
    let result = file.write_lines(SystemTime::now(), b"aaaaaaaa\nbbbbbbbb\n");
    assert!(result.is_err());
    expect(&folder, &[("t.log", "aaaaaaaa\nbbbbbbbb\n"), ("t.log.1", "")]);
}

#[test]
fn a_log_writes_to_rotating_files() {
    let folder = tempfile::tempdir().unwrap();
    let file = FileOptions { bytes_max: Some(1000), files_kept: 100, ..options(&folder) };
    let options = Options { destination: Destination::File(file), ..Options::default() };
    let (logger, guard) = start(options).unwrap();
    for number in 0..100 {
        tinykv_log::slog::info!(logger, "record {}.", number);
    }
    drop(guard);
    let files = files(folder.path());
    assert!(files.len() > 3, "{} files", files.len());
    assert!(files.iter().all(|(_, text)| text.len() <= 1000 && text.ends_with('\n')));
    for number in 0..100 {
        let record = format!("record {number}.");
        assert_eq!(files.iter().filter(|(_, text)| text.contains(&record)).count(), 1);
    }
}

#[test]
fn a_file_that_cannot_be_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file"), "").unwrap();
    let path = folder.path().join("file").join("t.log");
    let error = RotatingFile::open(FileOptions::new(&path)).unwrap_err();
    assert!(matches!(&error, Error::Open { file, .. } if *file == path), "{error}");

    let wrong = [
        (FileOptions::new("/"), "path"),
        (FileOptions { bytes_max: Some(0), ..FileOptions::new("x") }, "bytes_max"),
        (FileOptions { age_max: Some(Duration::ZERO), ..FileOptions::new("x") }, "age_max"),
    ];
    for (file, name) in wrong {
        let options = Options { destination: Destination::File(file), ..Options::default() };
        let refused = start(options).map(drop).unwrap_err();
        assert!(matches!(refused, Error::Option { option, .. } if option == name), "{refused}");
    }
}
