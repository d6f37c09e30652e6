//! Checks of an interface.

mod checksum_offload;
mod interrupts;
mod link;
mod losses;
mod mtu;
mod napi;
mod numa;
mod pause;
mod promiscuity;
mod queues;
mod receive_offload;
mod rings;
mod segmentation;
mod steering;
mod time_stamps;
mod vlan_offload;
mod xdp;

use super::Case;
use super::finding::Findings;

/// In the order in which they are told.
pub(super) const CHECKS: [fn(&Case<'_>, &mut Findings); 17] = [
    link::check,
    losses::check,
    receive_offload::check,
    segmentation::check,
    checksum_offload::check,
    vlan_offload::check,
    mtu::check,
    rings::check,
    queues::check,
    interrupts::check,
    steering::check,
    napi::check,
    numa::check,
    pause::check,
    xdp::check,
    time_stamps::check,
    promiscuity::check,
];
