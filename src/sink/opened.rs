//! Packets opened as far as a conversation in them.

use crate::flow::fragments::{Defragmenter, Outcome};
use crate::flow::{FlowKey, Keyed};
use crate::parse::{IpLayer, Packet, Transport};

/// IP payload compression, RFC 3173.
const IPCOMP: u8 = 108;

/// Calls `act` with the packet that an innermost TCP or UDP layer is in, that layer, and its flow (and whether the upper of the
/// key's ends sent it): `packet` itself, or what it was the last fragment of, or what it has with it compressed. With neither, the
/// layer is what the flow is of.
pub(super) fn open(
    packet: &Packet<'_>,
    defragmenter: Option<&mut Defragmenter>,
    act: impl FnOnce(&Packet<'_>, &IpLayer, (FlowKey, bool)),
) {
    match defragmenter.map_or(Outcome::Whole, |defragmenter| defragmenter.packet(packet)) {
        Outcome::Kept => {}
        Outcome::Whole => within(packet, None, act),
        Outcome::Complete(carried) => {
            let layers = carried.layers();
            // On the VLANs and in the tunnel of its fragments.
            let seen = FlowKey::of(packet).map(|keyed| keyed.key);
            within(&Packet::new(carried.frame(), &layers), seen, act);
        }
    }
}

fn within(
    packet: &Packet<'_>,
    seen: Option<FlowKey>,
    act: impl FnOnce(&Packet<'_>, &IpLayer, (FlowKey, bool)),
) {
    let compressed =
        packet.innermost().is_some_and(|ip| ip.protocol == IPCOMP && ip.transport == Transport::None);
    if let Some(carried) = compressed.then(|| packet.carried()).flatten() {
        let seen = seen.or_else(|| FlowKey::of(packet).map(|keyed| keyed.key));
        let layers = carried.layers();
        return tell(&Packet::new(carried.frame(), &layers), seen, act);
    }
    tell(packet, seen, act);
}

fn tell(
    packet: &Packet<'_>,
    seen: Option<FlowKey>,
    act: impl FnOnce(&Packet<'_>, &IpLayer, (FlowKey, bool)),
) {
    if let Some(Keyed { key, reversed, ip }) = conversation_of(packet) {
        act(packet, ip, (seen.map_or(key, |seen| key.seen_as(&seen)), reversed));
    }
}

/// The innermost flow over TCP or UDP, in whatever tunnel; else that of the packet.
fn conversation_of<'a>(packet: &Packet<'a>) -> Option<Keyed<'a>> {
    let spoken = |ip: &&IpLayer| matches!(ip.transport, Transport::Tcp | Transport::Udp | Transport::UdpLite);
    match packet.inner().filter(spoken) {
        Some(inner) => FlowKey::of_layer(packet, inner),
        None => FlowKey::of(packet),
    }
}
