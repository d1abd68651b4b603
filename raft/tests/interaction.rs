//! The project's own scripts in the three languages of `examples/interaction`.
//!
//! `UPDATE_GOLDENFILES=1` writes the transcripts anew; read what changed before you commit it.

#[path = "../examples/interaction"]
mod interaction {
    pub(crate) mod cluster;
    pub(crate) mod confchange;
    mod describe;
    pub(crate) mod quorum;
    pub(crate) mod script;
}

use interaction::script::Directive;
use interaction::{cluster, confchange, quorum, script};

/// Runs every script of a folder and compares.
fn replay_all(folder: &str, mut fresh: impl FnMut() -> Box<dyn FnMut(&Directive) -> String>) {
    let root = format!("{}/tests/testdata/{folder}", env!("CARGO_MANIFEST_DIR"));
    let mut count = 0;
    for file in std::fs::read_dir(&root).expect("the folder is there") {
        let path = file.expect("it can be listed").path();
        let text = std::fs::read_to_string(&path).expect("it is text");
        let transcript = script::replay(&text, &mut fresh()).expect("it is a script");
        if std::env::var_os("UPDATE_GOLDENFILES").is_some() {
            std::fs::write(&path, transcript).expect("it can be written");
        } else {
            assert_eq!(transcript, text, "{}", path.display());
        }
        count += 1;
    }
    assert!(count > 0, "{root} has no scripts");
}

#[test]
fn clusters() {
    replay_all("interaction", || {
        let mut cluster = cluster::Cluster::default();
        Box::new(move |directive| cluster.handle(directive))
    });
}

#[test]
fn quorums() {
    replay_all("quorum", || Box::new(quorum::handle));
}

#[test]
fn membership_changes() {
    replay_all("confchange", || {
        let mut group = confchange::Group::default();
        Box::new(move |directive| group.handle(directive))
    });
}
