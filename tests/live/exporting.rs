//! Flow records on a wire that goes away and comes back.

#[path = "../support/records.rs"]
mod records;

use crate::support::network::quiet_lab;
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;
use wharf::flow::FlowRecord;
use wharf::sink::{FlowExport, Ipfix};
use wharf::sys::link;

fn record() -> FlowRecord {
    let (from, to) = (([10, 0, 0, 1].into(), 1), ([10, 0, 0, 2].into(), 2));
    FlowRecord { packets: [1, 0], bytes: [100, 0], ..records::record(from, to, 17) }
}

/// A link that flaps does not end a capture: what could not be sent meanwhile is counted.
pub(crate) fn records_over_udp_outlast_a_link_that_flaps() {
    let lab = quiet_lab();
    let (here, there) = (&lab.client, &lab.server);
    let collector = there.namespace.run(|| UdpSocket::bind((there.v4, 0))).expect("a collector");
    collector.set_read_timeout(Some(Duration::from_secs(5))).expect("a timeout");
    let address: SocketAddr = collector.local_addr().expect("its address");
    let open = || Ipfix::udp(&address.to_string()).map_err(std::io::Error::other);
    let mut ipfix = here.namespace.run(open).expect("a way there");
    let mut send = |count: usize| {
        for _ in 0..count {
            ipfix.write(&record()).expect("it goes on");
            ipfix.flush().expect("it goes on");
        }
        ipfix.counts()
    };
    let up = send(3);
    assert_eq!((up.records, up.refused), (3, 0));
    here.namespace.run(|| link::set_up(here.interface, false)).expect("down");
    let down = send(4);
    assert_eq!((down.records, down.refused), (3, 4));
    here.namespace.run(|| link::set_up(here.interface, true)).expect("up");
    here.namespace
        .run(|| link::wait_until_operational(here.interface, Duration::from_secs(10)))
        .expect("operational");
    let again = send(2);
    assert_eq!((again.records, again.refused), (5, 4));
    let mut message = [0; 2_000];
    for _ in 0..5 {
        assert!(collector.recv(&mut message).expect("a message") > 16);
    }
}
