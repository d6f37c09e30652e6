//! AF_XDP over a real wire: a veth pair between two network namespaces of our own.
//!
//! The kernel takes programs from root outside of user namespaces only: where we are not that, the tests are skipped;
//! with `WHARF_XDP=require` that is a failure.

#![expect(clippy::print_stdout, reason = "a test program reports there")]

#[path = "../../support/mod.rs"]
#[macro_use]
mod support;

mod command;
mod counting;
mod engine;
mod leases;
mod losses;
mod opening;
mod ports;
mod program;
mod sending;

use std::process::ExitCode;
use wharf::sys::bpf::Map;

/// Says loudly that a test, or a part of one, did not run; where these tests are required that is a failure.
fn skip(reason: &str) {
    println!("SKIPPED: {reason}");
    assert!(std::env::var("WHARF_XDP").as_deref() != Ok("require"), "SKIPPED: {reason}");
}

fn main() -> ExitCode {
    if let Ok(interface) = std::env::var(opening::CHILD) {
        opening::child(&interface);
    }
    let tests = tests![
        program::takes_what_the_rules_name,
        program::refused_programs_come_with_the_verifiers_word,
        counting::every_frame_of_a_known_mix_is_seen_in_order,
        counting::generic_mode_sees_the_same,
        counting::an_overflow_is_named_and_the_sum_is_exact,
        counting::stop_drains_exactly_while_frames_keep_coming,
        counting::an_idle_wire_costs_nothing,
        counting::spinning_sees_the_same,
        counting::an_interface_that_goes_down_is_reported_once,
        counting::an_interface_that_is_removed_is_reported_once,
        losses::what_was_lost_stands_before_the_next_packet,
        losses::a_file_says_what_is_not_in_it,
        losses::a_run_tells_what_it_loses_and_what_to_do,
        ports::wanted_ports_come_to_us_and_the_others_to_the_host,
        ports::what_a_host_left_unfinished_is_not_called_bad,
        leases::chunks_outlive_their_turn_and_go_back_in_any_order,
        leases::when_too_much_is_out_frames_are_copied,
        engine::runs_by_workers_and_rings_balance,
        engine::queues_are_shared_out_among_workers,
        engine::workers_with_queues_of_their_own_make_one_account,
        command::sniff_takes_packets_and_says_so,
        command::generic_mode_that_was_fallen_back_to_is_not_advised,
        command::what_was_lost_before_the_ring_is_named_and_minded,
        command::what_may_not_be_looked_at_is_minded_too,
        command::split_leaves_to_the_host_what_no_rule_names,
        command::a_filter_of_ports_leaves_other_ports_to_the_host,
        opening::a_second_program_is_refused,
        opening::a_busy_queue_says_so,
        opening::no_such_queue_says_how_many_there_are,
        opening::queues_that_no_driver_tells_of_are_all_read,
        opening::a_killed_process_leaves_nothing_behind,
        sending::frames_arrive_as_sent_and_in_order,
        sending::frames_too_long_are_refused,
        sending::what_the_device_throws_away_is_not_called_sent,
        sending::live_frames_are_sent_by_the_kernel,
    ];
    support::harness::run(tests, "WHARF_XDP", || {
        let map = Map::array("wharf_test", 4, 1);
        map.map(drop)
            .map_err(|error| format!("no BPF here ({error}): run as root, outside of user namespaces"))
    })
}
