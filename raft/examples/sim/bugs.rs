//! The bugs that others have shipped, each with the names under which it can be switched on, the test
//! that notices, and how many seeds the simulator needs.
//!
//! What is printed is tried, not remembered: each test is run with its bug on and must fail, and the
//! simulator searches until it finds a violation or gives up.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{Command, ExitCode, Stdio};

use super::world;

/// A bug by its name in `mutants.toml`, and the suite and the test that notice.
type Switch = (&'static str, &'static str, &'static str);

/// What went wrong elsewhere, in a few words, and how it is switched on here.
type Bug = (&'static str, &'static [Switch]);

/// Tries all bugs, and prints a table; fails if one is not noticed.
pub(crate) fn table(seeds: u64) -> ExitCode {
    if !cfg!(feature = "mutants") {
        eprintln!("bugs can be switched on only with --features mutants");
        return ExitCode::FAILURE;
    }
    // A bug that is found by a panic would print it.
    std::panic::set_hook(Box::new(|_| {}));
    println!("| | bug | switch | test | seeds |");
    println!("|---|---|---|---|---|");
    let mut missed = 0;
    let numbered = (1..).map(|number: u32| number.to_string()).zip(KNOWN);
    let further = FURTHER.iter().map(|bug| (String::new(), bug));
    for (number, (what, switches)) in numbered.chain(further) {
        for (name, suite, test) in *switches {
            let noticed = notices(name, suite, test);
            missed += u32::from(!noticed);
            let test = if noticed { format!("{suite} `{test}`") } else { "NOT NOTICED".to_owned() };
            let found = search(name, seeds).map_or("-".to_owned(), |count| count.to_string());
            println!("| {number} | {what} | `{name}` | {test} | {found} |");
        }
    }
    println!("\nseeds: how many the simulator took to find the bug; `-` if {seeds} did not do");
    if missed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Returns whether the test fails with the bug on.
fn notices(name: &str, suite: &str, test: &str) -> bool {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["test", "--quiet", "--package", "tinykv-raft", "--features", "mutants"]);
    command.args(["--test", suite, "--", "--exact", test]).env("TINYKV_MUTANT", name);
    command.stdin(Stdio::null()).stderr(Stdio::null());
    let Ok(output) = command.output() else { return false };
    let text = String::from_utf8_lossy(&output.stdout);
    !output.status.success() && text.contains("1 failed")
}

/// Returns how many seeds it took to find the bug.
fn search(name: &'static str, seeds: u64) -> Option<u64> {
    let found = |seed: &u64| {
        let run = || catch_unwind(AssertUnwindSafe(|| world::run(*seed, None)));
        mutant::with(name, || match run() {
            // What differs from run to run is seen only in a second one.
            Ok(Ok(report)) => name == "hash_order" && run().ok() != Some(Ok(report)),
            _ => true,
        })
    };
    (0..seeds).find(found).map(|seed| seed + 1)
}

/// The bugs in the order of a message's way: elections, replication, snapshots, membership.
const KNOWN: &[Bug] = &[
    (
        "votes counted by message; a repeated request refused",
        &[
            ("votes_by_message", "paper", "election::a_majority_decides"),
            ("repeated_vote_refused", "paper", "election::one_vote_a_term_first_come_first_served"),
        ],
    ),
    (
        "logs not compared by (term, index)",
        &[
            ("up_to_date_componentwise", "paper", "safety::a_log_that_is_behind_gets_no_vote"),
            ("up_to_date_length_only", "paper", "safety::a_log_that_is_behind_gets_no_vote"),
        ],
    ),
    (
        "a vote leaves before it is durable",
        &[("promise_before_durable", "paper", "terms::term_and_vote_survive_a_restart")],
    ),
    (
        "a learner refuses to vote",
        &[("learner_refuses_vote", "known_bugs", "elections::a_learner_votes")],
    ),
    (
        "a campaign with a committed change unapplied",
        &[(
            "campaign_with_unapplied_change",
            "known_bugs",
            "elections::no_campaign_with_a_committed_change_unapplied",
        )],
    ),
    (
        "a refused pre-vote does not teach the term",
        &[(
            "pre_vote_term_ignored",
            "known_bugs",
            "elections::a_refused_pre_vote_teaches_the_term",
        )],
    ),
    (
        "a pre-candidate keeps its leader",
        &[(
            "pre_candidate_keeps_leader",
            "known_bugs",
            "elections::a_pre_candidate_believes_in_no_leader",
        )],
    ),
    (
        "a late pre-vote starts a second campaign",
        &[(
            "late_pre_vote_campaigns",
            "known_bugs",
            "elections::a_late_pre_vote_starts_no_second_campaign",
        )],
    ),
    (
        "a new member counts as unheard",
        &[("added_node_inactive", "known_bugs", "membership::a_new_member_is_given_time")],
    ),
    (
        "a member stuck at a later term never comes back",
        &[
            (
                "old_leader_unanswered",
                "known_bugs",
                "elections::a_member_at_a_later_term_comes_back",
            ),
            (
                "bystander_unanswered",
                "known_bugs",
                "elections::a_learner_at_a_later_term_comes_back",
            ),
        ],
    ),
    (
        "a leader without a majority stays",
        &[("quorum_loss_ignored", "paper", "leases::a_leader_without_a_majority_steps_down")],
    ),
    (
        "an earlier term's entry committed by counting",
        &[("commit_old_term", "paper", "safety::figure_8")],
    ),
    (
        "an append cuts without a conflict",
        &[("truncate_always", "known_bugs", "replication::a_late_append_deletes_nothing")],
    ),
    (
        "a commit beyond what is known to match",
        &[
            (
                "commit_beyond_match",
                "paper",
                "replication::a_follower_commits_no_further_than_it_was_shown",
            ),
            (
                "heartbeat_commit_unchecked",
                "stage_2ab",
                "a_heartbeat_does_not_commit_conflicting_entries",
            ),
        ],
    ),
    (
        "the commit index goes back",
        &[("commit_regress", "known_bugs", "replication::the_commit_index_never_falls")],
    ),
    (
        "the next index falls to what matches",
        &[("next_below_match", "known_bugs", "replication::what_matches_is_not_sent_again")],
    ),
    (
        "an acknowledgement of an earlier term counts",
        &[("stale_ack_counts", "known_bugs", "replication::an_old_acknowledgement_does_not_count")],
    ),
    (
        "a leader counts itself before its disk does",
        &[(
            "self_ack_before_durable",
            "paper",
            "replication::a_leader_counts_itself_when_its_disk_does",
        )],
    ),
    (
        "the report of an overtaken write counts",
        &[(
            "stale_write_report",
            "known_bugs",
            "replication::the_report_of_an_overtaken_write_says_nothing",
        )],
    ),
    (
        "entries on disk before their term",
        &[(
            "hard_state_after_entries",
            "known_bugs",
            "replication::a_term_is_written_with_its_entries",
        )],
    ),
    (
        "a window of messages never opens again",
        &[
            (
                "inflight_bytes_leak",
                "known_bugs",
                "replication::a_byte_window_opens_again_after_losses",
            ),
            (
                "heartbeat_answer_sends_nothing",
                "paper",
                "replication::a_silent_follower_is_sent_again",
            ),
        ],
    ),
    (
        "a lost commit index is never told again",
        &[(
            "lost_commit_never_repeated",
            "known_bugs",
            "replication::a_lost_commit_index_is_told_again",
        )],
    ),
    (
        "a conflict searched entry by entry",
        &[(
            "probe_one_by_one",
            "known_bugs",
            "replication::a_divergent_tail_is_found_in_few_probes",
        )],
    ),
    (
        "a client answered by index alone",
        &[("answer_by_index", "paper", "clients::an_index_alone_says_nothing")],
    ),
    (
        "the quota of proposals leaks",
        &[("quota_leak", "known_bugs", "replication::the_quota_is_given_back")],
    ),
    (
        "a snapshot undoes what is newer",
        &[
            ("snapshot_rolls_back", "known_bugs", "snapshots::a_late_snapshot_rolls_nothing_back"),
            (
                "snapshot_cuts_newer",
                "known_bugs",
                "snapshots::a_snapshot_that_matches_keeps_what_follows",
            ),
        ],
    ),
    (
        "a leader waits for a snapshot for ever",
        &[
            (
                "snapshot_ack_exact",
                "known_bugs",
                "snapshots::any_snapshot_that_reaches_the_log_will_do",
            ),
            ("lost_snapshot_unnoticed", "known_bugs", "snapshots::a_lost_snapshot_is_sent_again"),
        ],
    ),
    (
        "compacted entries are never made up for",
        &[(
            "compacted_never_sent",
            "paper",
            "snapshots::a_follower_that_is_far_behind_gets_a_snapshot",
        )],
    ),
    (
        "the membership is not that of the snapshot",
        &[("snapshot_keeps_membership", "paper", "snapshots::a_snapshot_stands_in_for_the_log")],
    ),
    (
        "entries handed out beside a snapshot",
        &[("apply_over_snapshot", "paper", "snapshots::entries_wait_for_the_snapshot")],
    ),
    (
        "membership changes overlap, or do not end",
        &[
            ("joint_one_counter", "paper", "membership::a_joint_commit_needs_both_majorities"),
            ("two_changes", "paper", "membership::one_change_at_a_time"),
            ("auto_leave_repeated", "known_bugs", "membership::a_joint_configuration_is_left_once"),
            (
                "auto_leave_never",
                "known_bugs",
                "membership::a_joint_configuration_is_left_by_itself",
            ),
            (
                "vote_teaches_nothing",
                "known_bugs",
                "elections::an_answer_teaches_a_committed_change",
            ),
            ("removed_leader_stays", "known_bugs", "membership::a_removed_leader_steps_down"),
        ],
    ),
    (
        "a transfer does not end, or breaks a promise",
        &[
            ("transfer_never_aborted", "paper", "transfer::a_transfer_that_fails_is_given_up"),
            ("transfer_outlives_removal", "stage_3a", "a_transfer_to_a_removed_node_is_given_up"),
            (
                "transfer_keeps_lease",
                "known_bugs",
                "transfers::a_leader_that_hands_over_has_no_lease",
            ),
            (
                "transfer_respects_lease",
                "known_bugs",
                "transfers::a_transfer_need_not_wait_for_the_lease",
            ),
            (
                "transfer_to_lagging",
                "known_bugs",
                "transfers::nobody_is_told_to_campaign_who_lacks_entries",
            ),
            (
                "proposal_during_transfer",
                "paper",
                "transfer::the_target_is_brought_up_to_date_first",
            ),
        ],
    ),
    (
        "a read too early, or never answered",
        &[
            (
                "read_before_commit",
                "paper",
                "clients::a_read_waits_for_the_first_commit_of_the_term",
            ),
            (
                "read_round_reused",
                "known_bugs",
                "leases_and_reads::a_late_answer_does_not_confirm_a_later_read",
            ),
            ("read_without_quorum", "paper", "clients::a_read_needs_a_majority"),
            (
                "reads_dropped",
                "known_bugs",
                "leases_and_reads::a_read_fails_when_leadership_is_lost",
            ),
        ],
    ),
    (
        "a restart loses or repeats what is applied",
        &[
            ("applied_not_committed", "known_bugs", "restarts::what_is_applied_is_committed"),
            ("pagination_skips", "known_bugs", "restarts::committed_entries_come_in_pieces"),
        ],
    ),
    (
        "messages leave in another order each run",
        &[("hash_order", "known_bugs", "replication::messages_leave_in_the_order_of_ids")],
    ),
];

/// Bugs that are not on that list.
const FURTHER: &[Bug] = &[
    (
        "a vote without looking at the log",
        &[("up_to_date_unchecked", "paper", "safety::a_log_that_is_behind_gets_no_vote")],
    ),
    (
        "two votes in a term",
        &[("vote_twice", "paper", "election::one_vote_a_term_first_come_first_served")],
    ),
    (
        "a vote kept in the next term",
        &[("vote_not_reset", "paper", "election::one_vote_a_term_first_come_first_served")],
    ),
    (
        "a candidate ignores the leader of its term",
        &[("candidate_ignores_leader", "paper", "election::a_candidate_gives_up_to_a_leader")],
    ),
    (
        "messages taken as they come",
        &[("message_unchecked", "hostile_peer", "nothing_that_a_peer_sends_panics")],
    ),
    ("timeouts all alike", &[("timeout_fixed", "paper", "election::timeouts_are_random")]),
    (
        "the term of an answer ignored",
        &[("response_term_ignored", "paper", "terms::a_later_term_makes_a_follower_of_everybody")],
    ),
    (
        "a term without an entry of its own",
        &[("noop_missing", "paper", "safety::a_term_begins_with_an_empty_entry")],
    ),
    (
        "entries applied before they are durable here",
        &[(
            "apply_unpersisted",
            "known_bugs",
            "replication::the_report_of_an_overtaken_write_says_nothing",
        )],
    ),
    (
        "a promise to a leader that reads by it broken",
        &[
            (
                "campaign_in_lease",
                "known_bugs",
                "leases_and_reads::a_campaign_by_hand_waits_for_the_lease",
            ),
            (
                "lease_ends_with_leader",
                "known_bugs",
                "leases_and_reads::a_later_term_does_not_end_the_promise",
            ),
            ("lease_never_ends", "paper", "leases::a_lease_lasts_less_than_an_election_timeout"),
        ],
    ),
    (
        "a damaged entry forgotten or passed over",
        &[
            (
                "faulty_votes_shorter",
                "known_bugs",
                "damage::a_damaged_entry_is_neither_forgotten_nor_led_with",
            ),
            (
                "faulty_campaigns",
                "known_bugs",
                "damage::a_damaged_entry_is_neither_forgotten_nor_led_with",
            ),
            (
                "applied_damage_forgotten",
                "known_bugs",
                "damage::the_last_applied_entry_is_fetched_again",
            ),
            (
                "faulty_committed_kept",
                "known_bugs",
                "damage::a_committed_entry_between_terms_is_fetched_again",
            ),
            (
                "faulty_cuts_what_follows",
                "known_bugs",
                "damage::a_damaged_entry_does_not_cut_off_what_follows",
            ),
            ("forgotten_ignored", "known_bugs", "damage::a_follower_learns_that_it_has_forgotten"),
            (
                "committed_contradiction_ignored",
                "known_bugs",
                "damage::an_append_that_contradicts_what_is_committed_is_noticed",
            ),
            (
                "lost_entry_asked_at_once",
                "known_bugs",
                "damage::one_that_lost_what_it_acknowledged_is_not_asked_without_end",
            ),
            (
                "faulty_acknowledged",
                "known_bugs",
                "damage::a_committed_entry_between_terms_is_fetched_again",
            ),
        ],
    ),
];
