//! Captures of a real wire: a veth pair between two network namespaces of our own, without root.
//!
//! Where namespaces are forbidden the tests are skipped; with `WHARF_LIVE=require` that is a failure.

#![expect(clippy::print_stdout, reason = "a test program reports there")]

#[path = "../support/mod.rs"]
#[macro_use]
mod support;

mod content;
mod counting;
mod doctor;
mod ending;
mod exporting;
mod fanout;
mod leases;
mod losses;
mod opening;
mod raising;
mod rings;
mod sending;
mod traffic;
mod upstream;

use std::process::ExitCode;

/// Says loudly that a test, or a part of one, did not run; where live tests are required that is a failure.
fn skip(reason: &str) {
    println!("SKIPPED: {reason}");
    assert!(std::env::var("WHARF_LIVE").as_deref() != Ok("require"), "SKIPPED: {reason}");
}

/// Says what was not looked at because this kernel lacks it. No machine is to be failed for that: nobody can mend it there.
fn lacking(what: &str) {
    println!("SKIPPED: this kernel has no {what}");
}

fn main() -> ExitCode {
    let tests = tests![
        counting::every_frame_of_a_known_mix_is_seen_in_order,
        counting::an_overflow_is_named_and_the_sum_is_exact,
        counting::stop_drains_exactly_while_frames_keep_coming,
        counting::an_idle_wire_is_reported_as_idle,
        counting::what_was_not_read_is_called_unread,
        content::vlan_tags_are_put_back,
        content::directions_are_told_and_chosen,
        content::the_loopback_is_seen_once,
        content::offloaded_checksums_are_told,
        content::large_segments_are_told,
        content::the_snap_length_cuts,
        content::any_sees_every_interface_cooked,
        content::any_puts_stacked_tags_back,
        content::times_are_the_kernels,
        content::a_frame_says_whose_time_it_has,
        content::nothing_that_programs_send_is_called_bad,
        ending::an_interface_that_goes_down_is_reported_once,
        ending::an_interface_that_is_removed_is_reported_once,
        ending::a_namespace_lives_as_long_as_a_capture_in_it,
        ending::a_wire_whose_other_end_is_in_a_namespace_that_goes_is_gone,
        fanout::a_flow_and_its_reverse_stay_on_one_worker_whole_or_in_fragments,
        fanout::any_spreads_likewise,
        fanout::ports_spread_the_flows_of_two_hosts,
        fanout::turns_and_chance_spread_evenly_and_every_mode_loses_nothing,
        fanout::a_run_on_two_workers_numbers_and_counts_every_packet_once,
        fanout::the_limit_is_exact_over_all_workers,
        fanout::an_interface_that_goes_ends_all_workers_and_is_told_once,
        rings::a_ring_that_overflows_is_raised_once_without_loss_or_repetition,
        rings::rings_that_the_kernel_chooses_by_itself_are_not_raised_and_say_so,
        raising::rings_of_two_workers_are_raised_and_flows_keep_their_order,
        raising::each_of_several_interfaces_has_its_ring_raised_by_itself,
        rings::what_a_ring_bridges_is_what_it_tells,
        rings::a_raised_ring_is_read_after_the_old_one_even_if_that_is_stopped_meanwhile,
        rings::under_overload_the_ledger_sums_to_what_was_sent,
        rings::several_interfaces_are_one_source,
        rings::one_of_several_interfaces_that_goes_is_named_after_all_is_handed_out,
        rings::ports_are_chosen_in_the_kernel,
        leases::chunks_outlive_their_turn_and_go_back_in_any_order,
        leases::a_block_that_comes_back_late_holds_up_the_kernel_alone,
        leases::an_output_that_stands_still_costs_neither_the_capture_nor_the_others,
        losses::what_was_lost_stands_before_the_packets_after_it,
        losses::each_interface_has_its_own_losses_however_many_read_it,
        opening::no_such_interface_lists_those_there_are,
        opening::an_interface_that_is_down_says_so,
        opening::a_ring_too_large_is_refused_with_advice,
        opening::without_permission_the_remedy_is_named,
        opening::interfaces_are_listed_with_their_addresses,
        opening::promiscuous_mode_lasts_as_long_as_the_capture,
        opening::times_that_a_device_does_not_give_are_refused_by_what_it_lacks,
        upstream::what_finds_no_room_at_a_veth_is_named_at_both_ends,
        upstream::a_wire_that_loses_nothing_is_said_to,
        upstream::the_other_end_is_called_unseen_where_it_may_not_be_looked_at,
        upstream::the_meter_shows_a_ring_that_is_full,
        upstream::the_kernels_counters_are_read_while_nobody_reads_the_ring,
        upstream::an_interface_that_goes_away_takes_its_counters_along,
        doctor::joined_frames_are_seen_to_be_on_and_off,
        doctor::the_command_that_is_named_makes_the_finding_good,
        doctor::a_link_that_is_down_is_bad,
        doctor::drivers_answer_as_ethtool_shows_them,
        doctor::what_a_namespace_hides_is_told,
        sending::what_was_sent_is_what_arrives,
        sending::a_rate_is_kept,
        sending::recorded_times_are_kept,
        sending::what_cannot_be_sent_is_told_and_the_rest_goes,
        sending::the_end_comes_when_it_is_asked_for,
        sending::an_interface_that_fails_is_told,
        sending::an_interface_with_a_default_route_is_refused,
        sending::a_default_route_over_ipv6_counts,
        sending::the_command_sends_what_it_says,
        sending::several_threads_send_each_frame_once,
        exporting::records_over_udp_outlast_a_link_that_flaps,
    ];
    support::harness::run(tests, "WHARF_LIVE", || {
        wharf::sys::namespace::enter_private().map_err(|error| error.to_string())
    })
}
