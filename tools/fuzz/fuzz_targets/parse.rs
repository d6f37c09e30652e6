//! The walk, verification and every accessor, over any bytes of any link type: nothing may panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wharf::frame::{Frame, LinkType};
use wharf::parse::{Packet, parse};
use wharf::verify::verify;

fuzz_target!(|input: (u16, &[u8])| {
    let (link_type, bytes) = input;
    let frame = Frame::new(LinkType(link_type % 300), bytes);
    let layers = parse(&frame);
    let packet = Packet::new(frame, &layers);
    let _ = verify(&packet);
    for span in packet.headers() {
        assert!(span.start <= span.end && span.end as usize <= bytes.len(), "{span:?} is not in the frame");
    }
    let _ = (packet.vlans().count(), packet.arp(), packet.ethernet(), packet.carried());
    for ip in packet.outer().into_iter().chain(packet.inner()) {
        let _ = (packet.addresses(ip), packet.ports(ip), packet.payload(ip).len(), packet.icmp(ip));
        if let Some(tcp) = packet.tcp(ip) {
            assert!(tcp.options().count() <= 41);
        }
    }
});
