//! Filters: what they let pass, and what is said about a wrong one.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use tinykv_log::{Error, Filter, Level, LevelMax};

fn filter(text: &str) -> Filter {
    text.parse().unwrap()
}

fn refusal(text: &str) -> String {
    text.parse::<Filter>().unwrap_err().to_string()
}

#[test]
fn one_level_holds_for_everything() {
    let filter = filter("warn");
    assert!(filter.allows(Level::Error, "tinykv_raft::node"));
    assert!(filter.allows(Level::Warning, "tinykv_raft::node"));
    assert!(!filter.allows(Level::Info, "tinykv_raft::node"));
    assert_eq!(filter.level_max(), LevelMax::Warning);
}

#[test]
fn off_lets_nothing_pass() {
    assert!(!filter("off").allows(Level::Critical, "tinykv_raft"));
    assert!(!filter("trace,raft=off").allows(Level::Error, "tinykv_raft::node"));
}

#[test]
fn a_module_rule_holds_for_the_module_and_below() {
    let filter = filter("info,raft=debug");
    assert!(filter.allows(Level::Debug, "tinykv_raft"));
    assert!(filter.allows(Level::Debug, "tinykv_raft::node::tick"));
    assert!(!filter.allows(Level::Debug, "tinykv_raftstore::peer"), "a name is not a prefix");
    assert!(!filter.allows(Level::Debug, "tinykv_engine"));
    assert_eq!(filter.level_max(), LevelMax::Debug);
}

#[test]
fn the_longest_rule_that_fits_wins_in_any_order() {
    for text in ["engine=error,engine::bitcask=trace", "engine::bitcask=trace,engine=error"] {
        let filter = filter(text);
        assert!(filter.allows(Level::Trace, "tinykv_engine::bitcask::merge"));
        assert!(!filter.allows(Level::Info, "tinykv_engine::memory"));
        assert!(filter.allows(Level::Info, "tinykv_server"), "everything else has info");
    }
}

#[test]
fn a_module_is_named_as_in_the_tree_or_as_by_the_compiler() {
    let names = ["engine::bitcask", "kv::engine::bitcask", "tinykv_engine::bitcask"];
    for name in names.iter().chain(&["tinykv-engine::bitcask"]) {
        let filter = filter(&format!("off,{name}=debug"));
        assert!(filter.allows(Level::Debug, "tinykv_engine::bitcask"), "{name}");
        assert_eq!(filter.to_string(), "off,engine::bitcask=debug");
    }
}

#[test]
fn spaces_and_case_do_not_matter() {
    assert_eq!(filter(" WARNING , raft = Debug "), filter("warn,raft=debug"));
}

#[test]
fn a_filter_reads_back_as_it_was_written() {
    for text in ["off", "info", "error,raft=trace", "debug,engine::bitcask=off,raft=warn"] {
        assert_eq!(filter(text).to_string(), text);
    }
}

#[test]
fn an_error_names_the_bad_part() {
    assert_eq!(
        refusal("info,raft=debgu"),
        "log filter: `debgu` in `raft=debgu` is no level: use off, error, warn, info, debug or trace"
    );
    assert_eq!(
        refusal("inof"),
        "log filter: `inof` in `inof` is no level: use off, error, warn, info, debug or trace"
    );
    assert_eq!(
        refusal("kv/engine=info"),
        "log filter: `kv/engine` in `kv/engine=info` is no module path: write it like `raft` or `engine::bitcask`"
    );
    assert_eq!(
        refusal("info,,raft=debug"),
        "log filter: part 2 of `info,,raft=debug` is empty: write it like `info,raft=debug`"
    );
    assert!(matches!("".parse::<Filter>(), Err(Error::EmptyPart { number: 1, .. })));
    assert!(matches!("=info".parse::<Filter>(), Err(Error::Module { .. })));
    assert!(matches!("raft::=info".parse::<Filter>(), Err(Error::Module { .. })));
    assert!(matches!("raft=".parse::<Filter>(), Err(Error::Level { .. })));
    assert!(
        matches!("info,debug".parse::<Filter>(), Err(Error::Twice { part }) if part == "debug")
    );
    assert!(matches!("raft=info,tinykv_raft=debug".parse::<Filter>(), Err(Error::Twice { .. })));
}

#[test]
fn the_flag_beats_the_environment_and_that_the_configuration() {
    let choose = |flag, env, config| Filter::choose(flag, env, config).unwrap().to_string();
    assert_eq!(choose(Some("error"), Some("warn"), Some("debug")), "error");
    assert_eq!(choose(None, Some("warn"), Some("debug")), "warn");
    assert_eq!(choose(None, None, Some("debug")), "debug");
    assert_eq!(choose(None, Some(""), None), "info");
    let error = Filter::choose(None, Some("loud"), None).unwrap_err().to_string();
    assert!(error.starts_with("TINYKV_LOG: log filter: `loud`"), "{error}");
}
