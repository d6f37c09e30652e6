//! What was lost before the ring is named, as far as the host tells.

use crate::support::frames;
use crate::support::network::{
    LIMIT, capture, device_counters, open, quiet_lab, send, sender, stop_and_collect,
};
use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};
use wharf::source::Source;
use wharf::source::packet::{Capture, Upstream};
use wharf::sys::lab::Host;

const FRAMES: u32 = 300;

fn watch(host: &Host) -> Upstream {
    host.namespace.run(|| Upstream::of([host.interface])).expect("the host's counters")
}

/// Makes a host refuse frames that are longer than this: its end of the veth has no room for them.
fn set_mtu(host: &Host, bytes: u32) {
    let done = host
        .namespace
        .run(|| Command::new("ip").args(["link", "set", host.interface, "mtu", &bytes.to_string()]).status());
    assert!(done.expect("ip").success());
}

pub(crate) fn what_finds_no_room_at_a_veth_is_named_at_both_ends() {
    let lab = quiet_lab();
    set_mtu(&lab.server, 600);
    let mut capture = open(&lab.server, Capture::on(lab.server.interface)).expect("a capture");
    let mut upstream = watch(&lab.server);
    let before = device_counters(&lab.client);
    let socket = sender(&lab.client);
    for number in 0..FRAMES {
        send(&socket, &frames::udp(1, 2, number, 100));
        // ENOBUFS: the other end has no room. Tried again, it would be dropped again.
        let refused = socket.send(&frames::udp(1, 2, number, 1_000)).expect_err("too long for the other end");
        assert_eq!(refused.raw_os_error(), Some(105), "{refused}");
    }
    let frames = stop_and_collect(&mut capture);
    assert_eq!(frames.len() as u32, FRAMES, "the short ones");
    assert_eq!(capture.counters().dropped_ring, 0, "the capture knows of no loss");
    let losses = upstream.since_last();
    let [interface] = &losses.interfaces[..] else { panic!("{losses:?}") };
    let peer = interface.peer.as_ref().expect("the other end lost some");
    assert_eq!((peer.counter.as_str(), peer.frames), ("client tx_dropped", u64::from(FRAMES)));
    let counted = device_counters(&lab.client).sent_dropped - before.sent_dropped;
    assert_eq!(counted, u64::from(FRAMES), "as /proc/net/dev has it");
    assert!(losses.any() && losses.unseen.is_empty(), "{losses:?}");
    assert!(losses.to_string().contains("other end of server: 300 client tx_dropped"), "{losses}");
    assert!(upstream.since_last().interfaces[0].peer.is_none(), "nothing since");
    assert_eq!(upstream.since_begun().interfaces[0].peer, losses.interfaces[0].peer);
}

pub(crate) fn a_wire_that_loses_nothing_is_said_to() {
    let lab = quiet_lab();
    let mut upstream = watch(&lab.server);
    let socket = sender(&lab.client);
    (0..FRAMES).for_each(|number| send(&socket, &frames::udp(1, 2, number, 100)));
    let losses = upstream.since_begun();
    assert!(losses.interfaces[0].peer.is_none(), "{losses:?}");
    assert_eq!((&losses.interfaces[0].kernel, &losses.interfaces[0].driver), (&vec![], &vec![]));
}

pub(crate) fn the_other_end_is_called_unseen_where_it_may_not_be_looked_at() {
    let lab = quiet_lab();
    let losses = lab.server.namespace.run(|| {
        // Of this thread alone.
        let none = CapabilitySet::empty();
        set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none })?;
        Ok(Upstream::of([lab.server.interface])?.since_begun())
    });
    let losses = losses.expect("all but the other end");
    assert!(losses.interfaces[0].peer.is_none());
    assert_eq!(losses.unseen.len(), 1, "{losses:?}");
    assert!(losses.unseen[0].starts_with("server: tx_dropped of the other end"), "{losses:?}");
}

pub(crate) fn the_meter_shows_a_ring_that_is_full() {
    let lab = quiet_lab();
    let mut capture =
        open(&lab.server, Capture::on(lab.server.interface).ring_bytes(1).block_bytes(1)).expect("a capture");
    let meter = capture.meter();
    let empty = meter.read();
    assert_eq!((empty.in_use, empty.dropped), (0, 0));
    assert!(empty.blocks >= 2);
    let socket = sender(&lab.client);
    (0..5_000).for_each(|number| send(&socket, &frames::udp(1, 2, number, 0)));
    let full = meter.read();
    assert_eq!(full.in_use, full.blocks, "nobody reads");
    let read = stop_and_collect(&mut capture);
    let (state, counters) = (meter.read(), capture.counters());
    assert!(counters.dropped_ring > 0 && !read.is_empty());
    assert_eq!(
        (state.received, state.dropped, state.freezes),
        (5_000, counters.dropped_ring, counters.freezes)
    );
    assert_eq!(state.in_use, 0, "all has been given back");
}

/// Their 32 bits come round in 71 minutes at a million frames a second, and a worker may be held up for longer.
pub(crate) fn the_kernels_counters_are_read_while_nobody_reads_the_ring() {
    let lab = quiet_lab();
    let mut capture = capture(&lab.server);
    let meter = capture.meter();
    let socket = sender(&lab.client);
    let begun = Instant::now();
    for sent in [50, 100] {
        (0..50).for_each(|number| send(&socket, &frames::udp(1, 2, number, 0)));
        while meter.read().received < sent {
            assert!(begun.elapsed() < LIMIT, "not read: {:?}", meter.read());
            thread::sleep(Duration::from_millis(10));
        }
    }
    assert_eq!(stop_and_collect(&mut capture).len(), 100);
    assert_eq!((capture.counters().received, meter.read().received), (100, 100), "each once");
}

pub(crate) fn an_interface_that_goes_away_takes_its_counters_along() {
    let lab = quiet_lab();
    let mut upstream = watch(&lab.server);
    lab.client.namespace.run(|| wharf::sys::link::remove("client")).expect("removed");
    let losses = upstream.since_begun();
    assert!(losses.unseen.iter().any(|what| what.contains("as it is gone")), "{losses:?}");
    lab.server.namespace.run(|| Upstream::of(["server"])).expect_err("no such interface");
}
