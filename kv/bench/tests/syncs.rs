//! Each backend syncs what its level of durability says, as strace sees it.

use std::path::Path;

use tinykv_bench::backend;
use tinykv_bench::level::Level;
use tinykv_bench::syncs;

#[test]
fn every_durable_write_is_synced() {
    if !syncs::can_trace() {
        println!("skipped: strace is not installed, or may not trace");
        return;
    }
    let program = Path::new(env!("CARGO_BIN_EXE_tinykv-bench"));
    for backend in backend::all().into_iter().filter(|backend| backend.persistent) {
        for level in Level::ALL {
            let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
            let counted = syncs::count(program, backend, level, folder.path()).unwrap();
            println!("{} at {}: {counted:?}", backend.name, level.name());
            assert!(counted.keeps(level), "{} at {}: {counted:?}", backend.name, level.name());
        }
    }
}
