//! `tinykv shell` with a script on stdin. The prompt is for a terminal, and none is here.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

#[path = "support/memory_server.rs"]
mod memory_server;
#[path = "support/program.rs"]
mod program;

use memory_server::MemoryServer;
use program::{Nobody, Run, Tinykv};

fn shell(args: &[&str], script: &str) -> Run {
    let tinykv = Tinykv::on(MemoryServer::default().listen());
    tinykv.run_with_stdin(&[&["shell"], args].concat(), script.as_bytes())
}

#[track_caller]
fn check(script: &str, code: i32, out: &str, err: &str) {
    let run = shell(&[], script);
    assert_eq!((run.code, run.out(), run.err()), (code, out, err));
}

#[test]
fn a_script_prints_results_only() {
    check("set a 1\nget a\nscan\ndel a\nget a\n", 0, "1\na\t1\n", "Key not found\n");
    check("", 0, "", "");
    check("get a", 0, "", "Key not found\n");
}

#[test]
fn every_raw_command_is_there() {
    let script = "put a 1\nbatch-put b 2 c 3\nbatch-get c b\ncas a 2 --expect 1\nttl a\n\
                  batch-del b x\ndel-range --prefix c\nrm a\nscan\n";
    check(script, 0, "c\t3\nb\t2\nswapped\nnever expires\n1\n", "");
}

#[test]
fn words_are_quoted_and_bytes_escaped() {
    let script = "set 'a b' \"c\\n\\x00d\"\nget \"a b\"\nset e ''\nget e\n# get nothing\n\n";
    check(script, 0, "c\\n\\0d\n\n", "");
}

#[test]
fn column_family_and_encoding_are_changed_for_what_follows() {
    let script = "set a 1\ncf write\nset a 2\nget a\ncf default\nget a\nencoding hex\nget 61\n";
    check(script, 0, "2\n1\n31\n", "");
    let run = shell(&["--cf", "write", "--encoding", "base64"], "set YQ== Yg==\nscan\n");
    assert_eq!((run.code, run.out()), (0, "YQ==\tYg==\n"));
}

#[test]
fn errors_do_not_end_it() {
    let run = shell(&[], "bogus\nget\nset 'a\ncf nope\nget a\ncf default\nset a 1\nget a\n");
    assert_eq!((run.code, run.out()), (0, "1\n"));
    for complaint in ["bogus", "<KEY>", "not closed", "no column family `nope`"] {
        assert!(run.err().contains(complaint), "{complaint} in {}", run.err());
    }
}

#[test]
fn strict_ends_at_the_first_error() {
    for error in ["bogus", "get absent", "set 'a", "cas a 1 --expect 2"] {
        let run = shell(&["--strict"], &format!("set a yes\n{error}\nget a\n"));
        assert_eq!(run.code, 1, "{error}");
        assert!(!run.out().lines().any(|line| line == "yes"), "{error}");
    }
    let run = shell(&["--strict"], "set a 1\nget a\n");
    assert_eq!((run.code, run.out()), (0, "1\n"));
}

#[test]
fn exit_and_quit_end_it() {
    check("set a 1\nexit\nget a\n", 0, "", "");
    check("set a 1\nquit\nget a\n", 0, "", "");
}

#[test]
fn help_lists_the_commands() {
    let run = shell(&[], "help\n");
    assert_eq!((run.code, run.err()), (0, ""));
    for command in ["get", "put", "scan", "del-range", "cas", "cf", "encoding", "exit"] {
        assert!(run.out().contains(&format!("\n  {command} ")), "{command} in {}", run.out());
    }
    let run = shell(&[], "help scan\n");
    assert!(run.out().contains("--keys-only"), "{}", run.out());
}

#[test]
fn json_is_for_programs() {
    let run = shell(&["--json"], "set a 1\nget a\n");
    assert_eq!(run.out(), "{\"key\":\"a\",\"value\":\"1\"}\n");
}

#[test]
fn bytes_that_are_no_text_get_through() {
    let tinykv = Tinykv::on(MemoryServer::default().listen());
    let run = tinykv.run_with_stdin(&["shell"], b"set \xff\xfe \x80\nscan\n");
    assert_eq!((run.code, run.out()), (0, "\\xff\\xfe\t\\x80\n"));
}

#[test]
fn without_a_server_it_does_not_start() {
    let nobody = Nobody::new();
    let run = Tinykv::on(nobody.address()).run_with_stdin(&["shell"], b"get a\n");
    assert_eq!((run.code, run.out()), (1, ""));
    assert!(run.err().contains("cannot reach"), "{}", run.err());
}
