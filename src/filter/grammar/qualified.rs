//! Primitives of an id and its qualifiers, where these go together.

use super::{Qualifiers, Sort};
use crate::filter::ast::{Address, Direction, Primitive, Protocol, Transport};
use crate::filter::error::{Fault, Span};
use crate::filter::words::word_of;

/// The number of a network with its first byte that is not 0 in front, and the mask to go with it.
pub(super) fn promoted(number: u32) -> (u32, u32) {
    let (mut address, mut mask) = (number, u32::MAX);
    while address != 0 && address & 0xff00_0000 == 0 {
        (address, mask) = (address << 8, mask << 8);
    }
    (address, mask)
}

/// Whether a host of this address can be looked for in that protocol.
pub(super) fn fits(protocol: Option<Protocol>, address: Address) -> bool {
    match address {
        Address::V4 { .. } => protocol != Some(Protocol::Ip6),
        Address::V6 { .. } => !matches!(protocol, Some(Protocol::Ip | Protocol::Arp | Protocol::Rarp)),
    }
}

pub(super) fn host(
    qualifiers: Qualifiers,
    addresses: Vec<Address>,
    name: Option<&str>,
    span: Span,
) -> Result<Primitive, Fault> {
    let Qualifiers { protocol, direction, .. } = qualifiers;
    let has_hosts =
        matches!(protocol, None | Some(Protocol::Ip | Protocol::Ip6 | Protocol::Arp | Protocol::Rarp));
    if let Some(protocol) = protocol.filter(|_| !has_hosts) {
        let word = word_of(protocol);
        let fault = Fault::new(span, format!("`{word}` has no such hosts"));
        return Err(fault.hint(format!("write `{word} and host ...`")));
    }
    if !addresses.iter().all(|address| fits(protocol, *address)) {
        let word = protocol.map_or("", word_of);
        return Err(Fault::new(span, format!("an address of another family than `{word}`")));
    }
    not_wireless(direction, span)?;
    Ok(Primitive::Host { within: protocol, direction, addresses, name: name.map(str::to_owned) })
}

fn not_wireless(direction: Direction, span: Span) -> Result<(), Fault> {
    match direction {
        Direction::Address(_) | Direction::Receiver | Direction::Transmitter => Err(Fault::new(
            span,
            "`addr1` to `addr4`, `ra` and `ta` are for IEEE 802.11 addresses: `wlan addr1 ...`",
        )),
        _ => Ok(()),
    }
}

pub(super) fn decnet(text: &str, qualifiers: Qualifiers, span: Span) -> Result<Primitive, Fault> {
    let address = text.split_once('.').and_then(|(area, node)| {
        let (area, node) = (area.parse::<u16>().ok()?, node.parse::<u16>().ok()?);
        (area < 64 && node < 1024).then_some(area << 10 | node)
    });
    match (address, qualifiers.kind) {
        (Some(address), Sort::Default | Sort::Host) => {
            not_wireless(qualifiers.direction, span)?;
            Ok(Primitive::DecnetHost { direction: qualifiers.direction, address })
        }
        _ => Err(Fault::new(span, format!("`{text}` is no DECnet host: area.node, up to 63.1023"))),
    }
}

pub(super) fn ports(
    qualifiers: Qualifiers,
    (low, high): (u16, u16),
    known_for: Option<Transport>,
    span: Span,
) -> Result<Primitive, Fault> {
    let transport = match qualifiers.protocol {
        None => None,
        Some(Protocol::Tcp) => Some(Transport::Tcp),
        Some(Protocol::Udp) => Some(Transport::Udp),
        Some(Protocol::Sctp) => Some(Transport::Sctp),
        Some(other) => {
            let fault = Fault::new(span, format!("`{}` has no ports", word_of(other)));
            return Err(fault.hint("`tcp`, `udp` and `sctp` have"));
        }
    };
    if known_for.is_some() && transport.is_some() && known_for != transport {
        return Err(
            Fault::new(span, "a service of another protocol").hint("by its number it can be looked for")
        );
    }
    not_wireless(qualifiers.direction, span)?;
    Ok(Primitive::Port { transport: transport.or(known_for), direction: qualifiers.direction, low, high })
}

/// `proto` or `protochain` of a number.
pub(super) fn carried(qualifiers: Qualifiers, number: u32, span: Span) -> Result<Primitive, Fault> {
    let within = qualifiers.protocol;
    if qualifiers.kind == Sort::ProtoChain {
        return match within {
            None | Some(Protocol::Ip | Protocol::Ip6) => Ok(Primitive::Chains { within, number }),
            _ => Err(Fault::new(span, "only `ip` and `ip6` have chains of headers")),
        };
    }
    match within {
        None | Some(Protocol::Ip | Protocol::Ip6 | Protocol::Link | Protocol::Iso | Protocol::Isis) => {
            Ok(Primitive::Carries { within, number })
        }
        Some(other) => Err(Fault::new(span, format!("`{}` says not what it carries", word_of(other)))),
    }
}

/// What a plain number means.
pub(super) fn number_primitive(number: u32, qualifiers: Qualifiers, span: Span) -> Result<Primitive, Fault> {
    let Qualifiers { protocol, kind, direction } = qualifiers;
    match kind {
        Sort::Default | Sort::Host | Sort::Net if protocol == Some(Protocol::Decnet) => {
            Ok(Primitive::DecnetHost { direction, address: number as u16 })
        }
        Sort::Default | Sort::Host if protocol == Some(Protocol::Link) => {
            Err(Fault::new(span, "expected an Ethernet address, such as 02:00:5e:00:53:01"))
        }
        Sort::Default | Sort::Host => {
            host(qualifiers, vec![Address::V4 { address: number, mask: u32::MAX }], None, span)
        }
        Sort::Net => {
            let (address, mask) = promoted(number);
            host(qualifiers, vec![Address::V4 { address, mask }], None, span)
        }
        Sort::Port | Sort::PortRange => match u16::try_from(number) {
            Ok(port) => ports(qualifiers, (port, port), None, span),
            Err(_) => Err(Fault::new(span, format!("{number} is no port: at most 65535"))),
        },
        Sort::Proto | Sort::ProtoChain => carried(qualifiers, number, span),
        Sort::Gateway => {
            Err(Fault::new(span, "`gateway` needs a host's name: its addresses are looked up twice"))
        }
    }
}
