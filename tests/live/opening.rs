//! What cannot be opened says why and what to do; what there is, is listed.

use crate::lacking;
use crate::support::network::{LIMIT, open, quiet_lab};
use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities};
use std::net::IpAddr;
use std::time::Instant;
use wharf::source::Source;
use wharf::source::packet::{Capture, Options, TimeStampType};
use wharf::sys::lab::Host;
use wharf::sys::{interfaces, link};

fn refusal(host: &Host, options: Options) -> String {
    open(host, options).expect_err("cannot be opened").to_string()
}

pub(crate) fn no_such_interface_lists_those_there_are() {
    let lab = quiet_lab();
    let text = refusal(&lab.server, Capture::on("serve"));
    assert_eq!(text, "serve: no such interface; did you mean server? There are: lo, server, any");
    let text = refusal(&lab.server, Capture::on("no/name"));
    assert_eq!(text, "no/name: not an interface name");
}

pub(crate) fn an_interface_that_is_down_says_so() {
    let lab = quiet_lab();
    lab.server.namespace.run(|| link::set_up("server", false)).expect("down");
    let text = refusal(&lab.server, Capture::on("server"));
    assert_eq!(text, "server: the interface is down; bring it up: ip link set dev server up");
}

pub(crate) fn a_ring_too_large_is_refused_with_advice() {
    let lab = quiet_lab();
    let text = refusal(&lab.server, Capture::on("server").ring_bytes(5 << 30));
    assert_eq!(text, "server: a ring of 5120 MiB: the kernel takes less than 4 GiB");
}

pub(crate) fn without_permission_the_remedy_is_named() {
    let lab = quiet_lab();
    let text = lab
        .server
        .namespace
        .run(|| {
            // Of this thread alone.
            let none = CapabilitySet::empty();
            set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none })?;
            Ok(Capture::on("server").open().expect_err("without CAP_NET_RAW").to_string())
        })
        .expect("inside the namespace");
    assert!(text.starts_with("server: CAP_NET_RAW missing: run as root or: sudo setcap "), "{text}");
}

pub(crate) fn interfaces_are_listed_with_their_addresses() {
    let lab = quiet_lab().with_ipv6();
    let lab = match lab {
        Ok(lab) => lab,
        Err(error) => return lacking(&format!("IPv6: {error}")),
    };
    let found = lab.server.namespace.run(interfaces).expect("a list");
    let names: Vec<_> = found.iter().map(|interface| interface.name.as_str()).collect();
    assert_eq!(names, ["lo", "server", "any"]);
    assert!(found[0].is_loopback() && found[0].is_up());
    let server = &found[1];
    assert_eq!((server.kind.as_deref(), server.mtu, server.mac), (Some("veth"), 1500, Some(lab.server.mac)));
    assert!(server.is_up() && server.is_running() && !server.is_loopback());
    assert_eq!(server.addresses, [(IpAddr::V4(lab.server.v4), 24), (IpAddr::V6(lab.server.v6), 64)]);
    assert_eq!(server.speed, Some(10_000), "what veth claims");

    lab.client.namespace.run(|| link::set_up("client", false)).expect("down");
    // The kernel notices a lost carrier in its own time.
    let begun = Instant::now();
    loop {
        let found = lab.server.namespace.run(interfaces).expect("a list");
        assert!(found[1].is_up());
        if !found[1].is_running() {
            break;
        }
        assert!(begun.elapsed() < LIMIT, "the carrier is gone and nobody says so");
    }
}

pub(crate) fn promiscuous_mode_lasts_as_long_as_the_capture() {
    let lab = quiet_lab();
    let promiscuity = || lab.server.namespace.run(interfaces).expect("a list")[1].promiscuity;
    let capture = open(&lab.server, Capture::on("server")).expect("a capture");
    assert_eq!(promiscuity(), 1);
    drop(capture);
    assert_eq!(promiscuity(), 0);
    let _capture = open(&lab.server, Capture::on("server").promiscuous(false)).expect("a capture");
    assert_eq!(promiscuity(), 0);
}

pub(crate) fn times_that_a_device_does_not_give_are_refused_by_what_it_lacks() {
    let lab = quiet_lab();
    let refused = |interface: &str, kind| refusal(&lab.server, Capture::on(interface).time_stamps(kind));
    for (interface, kind, expected) in [
        (
            "server",
            TimeStampType::AdapterUnsynced,
            "server: no time stamps of type adapter_unsynced: the device stamps no frames that it receives",
        ),
        ("server", TimeStampType::Adapter, "server: no time stamps of type adapter: the device stamps no"),
        (
            "server",
            TimeStampType::HostLowPrecision,
            "server: no time stamps of type host_lowprec: Linux has no",
        ),
        (
            "any",
            TimeStampType::AdapterUnsynced,
            "any: no time stamps of type adapter_unsynced: devices are set",
        ),
    ] {
        let said = refused(interface, kind);
        assert!(said.starts_with(expected), "{said}");
    }
    let options = Capture::on("server").time_stamps(TimeStampType::HostHighPrecision);
    let capture = open(&lab.server, options).expect("what every kernel has");
    assert_eq!(capture.ring_use().expect("a ring").stamps, None, "nobody else's were asked for");
    let types = lab.server.namespace.run(|| TimeStampType::of("server")).expect("an answer");
    assert_eq!(types, [TimeStampType::Host, TimeStampType::HostHighPrecision]);
}
