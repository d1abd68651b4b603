//! Each rule about arrows fires on a bad sample, and leaves a good one alone.

use std::path::Path;

use super::{Arrow, Table, compare, doors, native, unused};

/// A table with two crates, of which `top` may use `base`.
fn table() -> Table {
    toml::from_str(
        "[arrows]\nbase = []\ntop = ['base']\n[dev-arrows]\nbase = ['top']\n\
         [third-party]\ntokio = ['top']\n[never]\nleftpad = 'it is gone'\n\
         [native]\nbuilders = ['cc']\n[doors]\n'std::fs' = ['kv/top']\n",
    )
    .unwrap()
}

fn arrow(from: &str, to: &str) -> Arrow {
    Arrow {
        from: from.into(),
        to: to.into(),
        dev: false,
        ours: ["base", "top", "side"].contains(&to),
    }
}

fn found(order: &[&str], arrows: &[Arrow]) -> Vec<String> {
    compare(&table(), order, arrows).iter().map(ToString::to_string).collect()
}

#[test]
fn listed_arrows_are_fine() {
    let arrows = [arrow("top", "base"), arrow("top", "tokio"), arrow("base", "serde")];
    assert_eq!(found(&["base", "top"], &arrows), Vec::<String>::new());
    assert_eq!(unused(&table(), &arrows).len(), 1, "the dev arrow is not used");
}

#[test]
fn an_arrow_that_is_not_listed() {
    let lines = found(&["base", "top"], &[arrow("base", "top")]);
    assert!(lines.iter().any(|line| line.contains("`base` must not depend on `top`")), "{lines:?}");
    let dev = Arrow { dev: true, ..arrow("base", "top") };
    assert_eq!(found(&["base", "top"], &[dev]), Vec::<String>::new());
}

#[test]
fn an_arrow_that_nobody_uses_is_told() {
    let lines = unused(&table(), &[]);
    assert!(
        lines.iter().any(|line| line.contains("`top` may use `base` but does not")),
        "{lines:?}"
    );
}

#[test]
fn members_out_of_order() {
    let lines = found(&["top", "base"], &[arrow("top", "base")]);
    assert!(lines[0].contains("`base` must stand above `top`"), "{lines:?}");
}

#[test]
fn a_member_without_a_line() {
    let lines = found(&["base", "top", "side"], &[]);
    assert!(lines[0].contains("`side` has no line"), "{lines:?}");
}

#[test]
fn a_crate_of_others_in_the_wrong_place() {
    let lines = found(&["base", "top"], &[arrow("base", "tokio")]);
    assert!(lines[0].contains("`base` must not use `tokio`; only top may"), "{lines:?}");
    let lines = found(&["base", "top"], &[arrow("top", "leftpad")]);
    assert!(lines[0].contains("`leftpad`: it is gone"), "{lines:?}");
}

#[test]
fn native_code_in_a_plain_build() {
    let built = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(native(&table(), &built(&["serde"])), []);
    let findings = native(&table(), &built(&["serde", "cc"]));
    assert!(findings[0].to_string().contains("`cc` builds native code"), "{findings:?}");
}

#[test]
fn a_door_in_the_wrong_place() {
    let text = "//! std::fs is named in a comment.\nuse std::fs;\n\n#[cfg(test)]\nmod tests {\nuse std::fs;\n}\n";
    let findings = doors(&table(), Path::new("kv/base/src/lib.rs"), text);
    assert_eq!(findings.len(), 1);
    assert!(
        findings[0].to_string().starts_with("kv/base/src/lib.rs:2: `std::fs` is for kv/top only")
    );
    assert_eq!(doors(&table(), Path::new("kv/top/src/lib.rs"), text), []);
}
