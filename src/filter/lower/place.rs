//! Where in a frame the next question looks.

use super::Lowering;
use crate::filter::ir::{Operator, Value, Width};

pub(super) const IP: u32 = 0x0800;
pub(super) const ARP: u32 = 0x0806;
pub(super) const RARP: u32 = 0x8035;
pub(super) const IP6: u32 = 0x86dd;
pub(super) const VLAN: u32 = 0x8100;
pub(super) const SERVICE_VLAN: u32 = 0x88a8;
pub(super) const OLD_SERVICE_VLAN: u32 = 0x9100;
pub(super) const MPLS: u32 = 0x8847;
pub(super) const PPPOE_DISCOVERY: u32 = 0x8863;
pub(super) const PPPOE_SESSION: u32 = 0x8864;
/// Ethernet within Geneve.
pub(super) const BRIDGED: u32 = 0x6558;
/// The greatest value of Ethernet's type field that is a length (IEEE 802.3).
pub(super) const LONGEST_8023: u32 = 1500;

/// How a link layer says what it carries, and where its addresses are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Link {
    Ethernet,
    /// Linux cooked, both versions.
    Cooked {
        version: u8,
    },
    /// The IP version is the type.
    Raw,
    Ipv4,
    Ipv6,
    /// An address family, in the byte order of whoever captured.
    HostFamily,
    /// Likewise, big-endian.
    Family,
    Ppp,
    /// PPP that says whether it was sent in its first byte.
    PppOfDaemon,
    CiscoHdlc,
    FrameRelay,
    Wireless,
    TokenRing,
    Fddi,
    FibreChannel,
    /// IEEE 802.2 follows: ATM.
    Llc,
    /// An EtherType.
    EtherType,
    Arcnet,
    Slip,
    Ipnet,
    PfLog,
    Juniper,
    /// Only its bytes can be asked for.
    Opaque,
}

/// A position: so far behind one that depends on the frame, or behind its start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Offset {
    pub(super) from: Option<Value>,
    pub(super) at: u32,
}

impl Offset {
    pub(super) fn fixed(at: u32) -> Self {
        Self { from: None, at }
    }

    pub(super) fn behind(from: Value, at: u32) -> Self {
        Self { from: Some(from), at }
    }

    pub(super) fn plus(&self, bytes: u32) -> Self {
        Self { from: self.from.clone(), at: self.at.wrapping_add(bytes) }
    }

    /// As a number.
    pub(super) fn value(&self) -> Value {
        match &self.from {
            None => Value::Constant(self.at),
            Some(from) if self.at == 0 => from.clone(),
            Some(from) => from.clone().join(Operator::Add, Value::Constant(self.at)),
        }
    }
}

/// The headers that have been passed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) link: Link,
    /// Start of the link layer.
    pub(super) header: Offset,
    /// Where it says what it carries.
    pub(super) kind: Offset,
    /// What it carries.
    pub(super) payload: Offset,
    /// From there to the network layer; over IEEE 802.2 without SNAP likewise.
    pub(super) network: u32,
    pub(super) network_over_llc: u32,
    /// MPLS labels and VLAN tags that were passed.
    pub(super) labels: u32,
    pub(super) tags: u32,
    /// Within Geneve, and whether there is an Ethernet header.
    pub(super) geneve: Option<bool>,
    /// The kernel has taken the outermost tag out.
    pub(super) tag_out: bool,
}

impl Place {
    /// The tag beside the frame has not been asked for: what lies in the frame is behind it.
    pub(super) fn before_tag(&self) -> bool {
        self.tag_out && self.tags == 0 && self.geneve.is_none()
    }
}

impl Lowering {
    /// Bytes at a position.
    pub(super) fn load(&self, offset: &Offset, further: u32, width: Width) -> Value {
        let at = offset.at.wrapping_add(further);
        match &offset.from {
            None => Value::Load { from: None, at, width },
            Some(from) => {
                self.note_value(from);
                Value::load(from.clone(), at, width)
            }
        }
    }

    pub(super) fn byte(&self, offset: &Offset, further: u32) -> Value {
        self.load(offset, further, Width::Byte)
    }

    pub(super) fn half(&self, offset: &Offset, further: u32) -> Value {
        self.load(offset, further, Width::Half)
    }

    pub(super) fn word(&self, offset: &Offset, further: u32) -> Value {
        self.load(offset, further, Width::Word)
    }

    /// Notes which of the values computed beforehand this one uses.
    pub(super) fn note_value(&self, value: &Value) {
        match value {
            Value::Local(local) => self.note_use(*local),
            Value::Load { from: Some(from), .. } => self.note_value(from),
            Value::Arithmetic(_, left, right) => {
                self.note_value(left);
                self.note_value(right);
            }
            _ => {}
        }
    }
}

/// Bytes of the network layer.
impl Place {
    pub(super) fn network_header(&self) -> Offset {
        self.payload.plus(self.network)
    }
}
