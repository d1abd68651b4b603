//! Reads that rely on a lease, under the faults of stage 2b.

mod support {
    pub(crate) mod clients;
    pub(crate) mod generic;
    pub(crate) mod machine;
    pub(crate) mod world;
}

use support::generic::{Scenario, run};

const LEASE: Scenario = Scenario {
    clients: 5,
    unreliable: true,
    crash: false,
    partitions: false,
    log_max: None,
    lease: true,
};

#[test]
fn lease_reads_with_partitions() {
    run(Scenario { partitions: true, ..LEASE });
}

#[test]
fn lease_reads_with_crashes() {
    run(Scenario { crash: true, partitions: true, ..LEASE });
}
