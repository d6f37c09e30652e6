//! Packets opened as far as a conversation in them.

use crate::flow::fragments::{self, Defragmenter, Outcome};
use crate::flow::{FlowKey, Keyed, tcp_of};
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
            within(
                &Packet::new(carried.frame(), &layers),
                fragments::layer(packet).and_then(|ip| seen(packet, ip)),
                act,
            );
        }
    }
}

/// On the VLANs and in the tunnel of one of a packet's layers is what that layer was cut from, or has with it.
fn seen(packet: &Packet<'_>, ip: &IpLayer) -> Option<FlowKey> {
    FlowKey::of_layer(packet, ip).map(|keyed| keyed.key)
}

fn within(
    packet: &Packet<'_>,
    before: Option<FlowKey>,
    act: impl FnOnce(&Packet<'_>, &IpLayer, (FlowKey, bool)),
) {
    let compressed =
        packet.innermost().is_some_and(|ip| ip.protocol == IPCOMP && ip.transport == Transport::None);
    if let Some(carried) = compressed.then(|| packet.carried()).flatten() {
        let seen = before.or_else(|| seen(packet, packet.innermost()?));
        let layers = carried.layers();
        return tell(&Packet::new(carried.frame(), &layers), seen, act);
    }
    tell(packet, before, act);
}

fn tell(
    packet: &Packet<'_>,
    seen: Option<FlowKey>,
    act: impl FnOnce(&Packet<'_>, &IpLayer, (FlowKey, bool)),
) {
    if let Some(Keyed { key, reversed, ip }) = conversation_of(packet) {
        act(packet, &ip, (seen.map_or(key, |seen| key.seen_as(&seen)), reversed));
    }
}

/// The innermost flow over TCP or UDP, in whatever tunnel; else that of the packet.
fn conversation_of(packet: &Packet<'_>) -> Option<Keyed> {
    let spoken = |ip: &&IpLayer| {
        matches!(ip.transport, Transport::Tcp | Transport::Udp | Transport::UdpLite)
            || tcp_of(packet, ip).is_some()
    };
    match packet.inner().filter(spoken) {
        Some(inner) => FlowKey::of_layer(packet, inner),
        None => FlowKey::of(packet),
    }
}
