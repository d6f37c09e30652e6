//! Common kinds of frames, and where the decisions begin for each.

use super::EvaluateError;
use super::flat::{ACCEPT, Flat, REJECT};
use super::lay_out::lay_out;
use crate::filter::graph::{Facts, Graph, Is, Node, Value};
use crate::filter::ir::{Operator, Width};
use crate::frame::LinkType;

const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;
const ARP: u16 = 0x0806;
/// Protocols that are told apart: TCP, UDP, ICMP, ICMPv6.
const PROTOCOLS: [u8; 4] = [6, 17, 1, 58];
/// No fragment but the first.
const OFFSET_BITS: u32 = 0x1fff;

/// Kinds, by number: 0 what is none of the others or too short to tell; from 1 on IPv4 without options that is no later fragment, of
/// each protocol and of another; from 6 on the same of IPv6; then ARP; other IPv4; another EtherType.
const IPV4_AT: usize = 1;
const IPV6_AT: usize = IPV4_AT + PROTOCOLS.len() + 1;
const ARP_AT: usize = IPV6_AT + PROTOCOLS.len() + 1;
const RARE_IPV4_AT: usize = ARP_AT + 1;
const OTHER_AT: usize = RARE_IPV4_AT + 1;
const KINDS: usize = OTHER_AT + 1;

/// Bytes of a network header that are looked at.
const TOLD: usize = 10;

/// Graphs with fewer decisions are run as they are, and larger ones are not worked through once for every kind.
const FEWEST: usize = 3;
const MOST: usize = 20_000;

/// Where frames of a link type have what tells their kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Shape {
    /// Offset of the EtherType.
    ether_type: usize,
    /// Offset of the network header.
    network: usize,
}

impl Shape {
    fn of(link_type: LinkType) -> Option<Self> {
        let (ether_type, network) = match link_type {
            LinkType::ETHERNET => (12, 14),
            LinkType::LINUX_SLL => (14, 16),
            LinkType::LINUX_SLL2 => (0, 20),
            _ => return None,
        };
        Some(Self { ether_type, network })
    }
}

/// Where to begin.
#[derive(Clone, Debug)]
pub(super) struct Kinds {
    shape: Option<Shape>,
    entries: [u32; KINDS],
    /// The place of each protocol among [`PROTOCOLS`], or behind them.
    places: Box<[u8; 256]>,
}

impl Kinds {
    /// Simplifies the decisions for each kind, and lays them out.
    pub(super) fn new(graph: Graph, link_type: LinkType, flat: &mut Flat) -> Result<Self, EvaluateError> {
        let decisions = graph.reached();
        let general = lay_out(&graph, flat)?;
        let mut places = Box::new([PROTOCOLS.len() as u8; 256]);
        for (place, protocol) in PROTOCOLS.iter().enumerate() {
            places[usize::from(*protocol)] = place as u8;
        }
        let asks = |at: usize| {
            let load = Value::Load { from: None, at: at as u32, width: Width::Half };
            let is_asked = |value| graph.values.get(value) == load;
            decisions
                .iter()
                .any(|id| matches!(graph.node(*id), Node::Branch { value, .. } if is_asked(value)))
        };
        let shape = Shape::of(link_type)
            .filter(|shape| (FEWEST..MOST).contains(&decisions.len()) && asks(shape.ether_type));
        let mut entries = [general; KINDS];
        if let Some(shape) = shape {
            for (kind, entry) in entries.iter_mut().enumerate().skip(1) {
                let mut graph = graph.clone();
                let facts = facts(&mut graph, shape, kind);
                // Frames of a kind have their EtherType; those of IP what tells their protocol.
                let told = if kind < ARP_AT { shape.network + TOLD } else { shape.ether_type + 2 };
                graph.certain = Some(told as u32);
                graph.simplify(&facts);
                *entry = lay_out(&graph, flat)?;
            }
        }
        debug_assert!(
            entries.iter().all(|entry| [REJECT, ACCEPT].contains(entry) || *entry as usize <= flat.len())
        );
        Ok(Self { shape, entries, places })
    }

    /// Where the decisions begin for any frame; what stands before that is all there is of them.
    pub(super) fn general(&self) -> u32 {
        self.entries[0]
    }

    /// Where the decisions begin for this frame.
    #[inline]
    pub(super) fn entry(&self, data: &[u8]) -> u32 {
        let Some(shape) = self.shape else { return self.entries[0] };
        self.entries[self.kind(data, shape)]
    }

    #[inline]
    fn kind(&self, data: &[u8], shape: Shape) -> usize {
        let ether_type = data.get(shape.ether_type..).and_then(<[u8]>::first_chunk);
        // As far as it is looked at below.
        let header: Option<&[u8; TOLD]> = data.get(shape.network..).and_then(<[u8]>::first_chunk);
        let Some((ether_type, header)) = ether_type.zip(header) else {
            return match ether_type.map(|bytes| u16::from_be_bytes(*bytes)) {
                Some(ARP) => ARP_AT,
                Some(IPV4 | IPV6) | None => 0,
                Some(_) => OTHER_AT,
            };
        };
        // Chosen without a branch: what comes next is what no predictor knows.
        let ether_type = u16::from_be_bytes(*ether_type);
        let fragment = u32::from(u16::from_be_bytes([header[6], header[7]])) & OFFSET_BITS;
        let common = u32::from(header[0] ^ 0x45) | fragment == 0;
        let protocol = if ether_type == IPV6 { header[6] } else { header[9] };
        let place = usize::from(self.places[usize::from(protocol)]);
        let ipv4 = if common { IPV4_AT + place } else { RARE_IPV4_AT };
        let other = if ether_type == ARP { ARP_AT } else { OTHER_AT };
        let other = if ether_type == IPV6 { IPV6_AT + place } else { other };
        if ether_type == IPV4 { ipv4 } else { other }
    }
}

/// What is known of frames of a kind.
fn facts(graph: &mut Graph, shape: Shape, kind: usize) -> Facts {
    let mut facts = Facts::default();
    let network = shape.network as u32;
    let mut load = |at, width| graph.values.intern(Value::Load { from: None, at, width });
    let ether_type = load(shape.ether_type as u32, Width::Half);
    let version = load(network, Width::Byte);
    let fragment = load(network + 6, Width::Half);
    let protocol = match kind {
        IPV6_AT..ARP_AT => load(network + 6, Width::Byte),
        _ => load(network + 9, Width::Byte),
    };
    let bits = graph.values.constant(OFFSET_BITS);
    let offset = graph.values.intern(Value::Arithmetic(Operator::And, fragment, bits));
    let values = &graph.values;
    let mut is = |value, number: u32, holds| facts.learn(values, value, Is::Equal(number), holds);
    let first = match kind {
        IPV4_AT..IPV6_AT => {
            is(ether_type, IPV4.into(), true);
            is(version, 0x45, true);
            is(offset, 0, true);
            IPV4_AT
        }
        IPV6_AT..ARP_AT => {
            is(ether_type, IPV6.into(), true);
            IPV6_AT
        }
        ARP_AT => {
            is(ether_type, ARP.into(), true);
            return facts;
        }
        RARE_IPV4_AT => {
            is(ether_type, IPV4.into(), true);
            return facts;
        }
        _ => {
            [IPV4, IPV6, ARP].into_iter().for_each(|known| is(ether_type, known.into(), false));
            return facts;
        }
    };
    match PROTOCOLS.get(kind - first) {
        Some(known) => is(protocol, (*known).into(), true),
        None => PROTOCOLS.into_iter().for_each(|known| is(protocol, known.into(), false)),
    }
    facts
}
