//! What recovery makes of one block: a total function of the evidence, tested as a table.
//!
//! The rule: **cut only where nothing says that the block was durable**. A bad checksum alone
//! cannot tell a torn write, which nobody was told of, from rot of what was acknowledged. A later
//! block that calls this one durable can.

use mutant::mutant;

/// What is known about a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Evidence {
    /// Its own header is good, or the segment's footer has it.
    pub(crate) header: bool,
    /// Its own index is good, or the segment's footer has it.
    pub(crate) index: bool,
    /// Each entry's bytes match their checksum. Unknown counts as good where `durable`: reads
    /// check it again.
    pub(crate) payload: bool,
    /// It names the block before it, by checksum.
    pub(crate) chain: bool,
    /// The next block's mirror has its header and index.
    pub(crate) named: bool,
    /// A later block says that this one was durable before it.
    pub(crate) durable: bool,
}

/// What to do about a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Keep it.
    Intact,
    /// Keep it: its names come from the mirror, and its entries are all there.
    Repaired,
    /// Keep it: it was durable, and it is known which entries are damaged.
    Faulty,
    /// It was durable, and nothing says what was in it. Refuse to open.
    Lost,
    /// It was durable and does not follow the block before it. Refuse to open.
    Unchained,
    /// Cut the log before it: nobody can have been told that it was durable.
    Torn,
    /// It is the end of the log, its names are good and its entries are not. It may have been
    /// acknowledged just before the crash; the policy decides.
    Ambiguous,
}

/// Judges a block.
pub(crate) fn decide(evidence: Evidence) -> Verdict {
    let Evidence { header, index, payload, chain, named, durable } = evidence;
    let own_names = header && index;
    if durable && !mutant!("wal-truncate-on-bad-checksum") {
        match (own_names, named) {
            (false, false) => Verdict::Lost,
            _ if !chain => Verdict::Unchained,
            (true, _) if payload => Verdict::Intact,
            (false, true) if payload => Verdict::Repaired,
            _ => Verdict::Faulty,
        }
    } else if !own_names || !chain || mutant!("wal-unproven-is-torn") {
        // Not even the first sectors arrived, or they are of an earlier attempt.
        Verdict::Torn
    } else if payload {
        Verdict::Intact
    } else {
        Verdict::Ambiguous
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table, by hand. `.` means either; the rows cover each of the 64 cases once.
    const TABLE: &[(&str, Verdict)] = &[
        // header index payload chain named durable
        ("11 1 1 . 1", Verdict::Intact),
        ("11 0 1 . 1", Verdict::Faulty),
        ("11 . 0 . 1", Verdict::Unchained),
        ("0. 1 1 1 1", Verdict::Repaired),
        ("10 1 1 1 1", Verdict::Repaired),
        ("0. 0 1 1 1", Verdict::Faulty),
        ("10 0 1 1 1", Verdict::Faulty),
        ("0. . 0 1 1", Verdict::Unchained),
        ("10 . 0 1 1", Verdict::Unchained),
        ("0. . . 0 1", Verdict::Lost),
        ("10 . . 0 1", Verdict::Lost),
        ("11 1 1 . 0", Verdict::Intact),
        ("11 0 1 . 0", Verdict::Ambiguous),
        ("11 . 0 . 0", Verdict::Torn),
        ("0. . . . 0", Verdict::Torn),
        ("10 . . . 0", Verdict::Torn),
    ];

    #[test]
    fn every_case_is_in_the_table_once() {
        let mut hits = vec![0; TABLE.len()];
        for case in 0..64_u32 {
            let bit = |at: u32| case >> at & 1 == 1;
            let evidence = Evidence {
                header: bit(0),
                index: bit(1),
                payload: bit(2),
                chain: bit(3),
                named: bit(4),
                durable: bit(5),
            };
            let fits = |pattern: &str| {
                let wanted = pattern.chars().filter(|c| *c != ' ');
                wanted.enumerate().all(|(at, c)| c == '.' || (c == '1') == bit(at as u32))
            };
            let rows: Vec<usize> = (0..TABLE.len()).filter(|row| fits(TABLE[*row].0)).collect();
            assert_eq!(rows.len(), 1, "{evidence:?} is in {} rows", rows.len());
            assert_eq!(decide(evidence), TABLE[rows[0]].1, "{evidence:?}");
            hits[rows[0]] += 1;
        }
        assert!(hits.iter().all(|hits| *hits > 0), "rows that no case meets: {hits:?}");
    }

    #[test]
    fn nothing_durable_is_ever_cut() {
        for case in 0..32_u32 {
            let bit = |at: u32| case >> at & 1 == 1;
            let (header, index, payload, chain, named) = (bit(0), bit(1), bit(2), bit(3), bit(4));
            let evidence = Evidence { header, index, payload, chain, named, durable: true };
            assert!(!matches!(decide(evidence), Verdict::Torn | Verdict::Ambiguous));
        }
    }
}
