//! Captures of a real wire: a veth pair between two network namespaces of our own, without root.
//!
//! Where namespaces are forbidden the tests are skipped; with `WHARF_LIVE=require` that is a failure.

#![expect(clippy::print_stdout, reason = "a test program reports there")]

#[path = "../support/mod.rs"]
#[macro_use]
mod support;

mod content;
mod counting;
mod ending;
mod leases;
mod opening;
mod sending;

use std::process::ExitCode;

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
        content::times_are_the_kernels,
        ending::an_interface_that_goes_down_is_reported_once,
        ending::an_interface_that_is_removed_is_reported_once,
        leases::chunks_outlive_their_turn_and_go_back_in_any_order,
        leases::a_block_that_comes_back_late_holds_up_the_kernel_alone,
        leases::an_output_that_stands_still_costs_neither_the_capture_nor_the_others,
        opening::no_such_interface_lists_those_there_are,
        opening::an_interface_that_is_down_says_so,
        opening::a_ring_too_large_is_refused_with_advice,
        opening::without_permission_the_remedy_is_named,
        opening::interfaces_are_listed_with_their_addresses,
        opening::promiscuous_mode_lasts_as_long_as_the_capture,
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
    ];
    support::harness::run(tests, "WHARF_LIVE", || {
        wharf::sys::namespace::enter_private().map_err(|error| error.to_string())
    })
}
