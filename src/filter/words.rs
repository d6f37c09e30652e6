//! The words of the language.

use super::ast::{Direction, Llc, Protocol};

/// What a word means where it is not escaped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keyword {
    Protocol(Protocol),
    /// `src`, `dst`, `addr1`...
    Direction(Direction),
    Host,
    Net,
    Mask,
    Port,
    PortRange,
    Proto,
    ProtoChain,
    Gateway,
    Broadcast,
    Multicast,
    Less,
    Greater,
    Byte,
    Length,
    Inbound,
    Outbound,
    InterfaceIndex,
    InterfaceName,
    Ruleset,
    Rule,
    Subrule,
    Reason,
    Action,
    Vlan,
    Mpls,
    PppoeDiscovery,
    PppoeSession,
    Geneve,
    Llc,
    Type,
    Subtype,
    WirelessDirection,
    /// A named offset or value: `tcpflags`, `icmp-echo`.
    Number(u32),
    /// Of ATM and SS7, whose captures wharf does not read.
    Telephony,
}

/// A word that is a keyword.
pub(super) fn keyword(word: &str) -> Option<Keyword> {
    let found = KEYWORDS.iter().find(|(known, _)| *known == word).map(|(_, keyword)| *keyword);
    found.or_else(|| {
        NUMBERS.iter().find(|(known, _)| *known == word).map(|(_, number)| Keyword::Number(*number))
    })
}

/// All of them, to suggest one.
pub(super) fn keywords() -> impl Iterator<Item = &'static str> {
    let plain = KEYWORDS.iter().filter(|(_, keyword)| *keyword != Keyword::Telephony).map(|(word, _)| *word);
    plain.chain(["and", "or", "not"])
}

/// The names of numbers, to suggest one.
pub(super) fn named_numbers() -> impl Iterator<Item = &'static str> {
    NUMBERS.iter().map(|(word, _)| *word)
}

/// A protocol's word: the first in the table.
pub(super) fn word_of(protocol: Protocol) -> &'static str {
    let named = KEYWORDS.iter().find(|(_, keyword)| *keyword == Keyword::Protocol(protocol));
    named.map_or("", |(word, _)| word)
}

const KEYWORDS: &[(&str, Keyword)] = &[
    ("ether", Keyword::Protocol(Protocol::Link)),
    ("link", Keyword::Protocol(Protocol::Link)),
    ("ppp", Keyword::Protocol(Protocol::Link)),
    ("slip", Keyword::Protocol(Protocol::Link)),
    ("fddi", Keyword::Protocol(Protocol::Link)),
    ("tr", Keyword::Protocol(Protocol::Link)),
    ("wlan", Keyword::Protocol(Protocol::Link)),
    ("arp", Keyword::Protocol(Protocol::Arp)),
    ("rarp", Keyword::Protocol(Protocol::Rarp)),
    ("ip", Keyword::Protocol(Protocol::Ip)),
    ("ip6", Keyword::Protocol(Protocol::Ip6)),
    ("tcp", Keyword::Protocol(Protocol::Tcp)),
    ("udp", Keyword::Protocol(Protocol::Udp)),
    ("sctp", Keyword::Protocol(Protocol::Sctp)),
    ("icmp", Keyword::Protocol(Protocol::Icmp)),
    ("icmp6", Keyword::Protocol(Protocol::Icmp6)),
    ("igmp", Keyword::Protocol(Protocol::Igmp)),
    ("igrp", Keyword::Protocol(Protocol::Igrp)),
    ("pim", Keyword::Protocol(Protocol::Pim)),
    ("vrrp", Keyword::Protocol(Protocol::Vrrp)),
    ("carp", Keyword::Protocol(Protocol::Carp)),
    ("ah", Keyword::Protocol(Protocol::Ah)),
    ("esp", Keyword::Protocol(Protocol::Esp)),
    ("atalk", Keyword::Protocol(Protocol::Atalk)),
    ("aarp", Keyword::Protocol(Protocol::Aarp)),
    ("decnet", Keyword::Protocol(Protocol::Decnet)),
    ("lat", Keyword::Protocol(Protocol::Lat)),
    ("sca", Keyword::Protocol(Protocol::Sca)),
    ("moprc", Keyword::Protocol(Protocol::Moprc)),
    ("mopdl", Keyword::Protocol(Protocol::Mopdl)),
    ("iso", Keyword::Protocol(Protocol::Iso)),
    ("clnp", Keyword::Protocol(Protocol::Clnp)),
    ("esis", Keyword::Protocol(Protocol::Esis)),
    ("es-is", Keyword::Protocol(Protocol::Esis)),
    ("isis", Keyword::Protocol(Protocol::Isis)),
    ("is-is", Keyword::Protocol(Protocol::Isis)),
    ("l1", Keyword::Protocol(Protocol::IsisLevel1)),
    ("l2", Keyword::Protocol(Protocol::IsisLevel2)),
    ("iih", Keyword::Protocol(Protocol::IsisHello)),
    ("lsp", Keyword::Protocol(Protocol::IsisLinkState)),
    ("snp", Keyword::Protocol(Protocol::IsisSequence)),
    ("csnp", Keyword::Protocol(Protocol::IsisComplete)),
    ("psnp", Keyword::Protocol(Protocol::IsisPartial)),
    ("stp", Keyword::Protocol(Protocol::Stp)),
    ("ipx", Keyword::Protocol(Protocol::Ipx)),
    ("netbeui", Keyword::Protocol(Protocol::Netbeui)),
    ("radio", Keyword::Protocol(Protocol::Radio)),
    ("src", Keyword::Direction(Direction::Source)),
    ("dst", Keyword::Direction(Direction::Destination)),
    ("addr1", Keyword::Direction(Direction::Address(1))),
    ("address1", Keyword::Direction(Direction::Address(1))),
    ("addr2", Keyword::Direction(Direction::Address(2))),
    ("address2", Keyword::Direction(Direction::Address(2))),
    ("addr3", Keyword::Direction(Direction::Address(3))),
    ("address3", Keyword::Direction(Direction::Address(3))),
    ("addr4", Keyword::Direction(Direction::Address(4))),
    ("address4", Keyword::Direction(Direction::Address(4))),
    ("ra", Keyword::Direction(Direction::Receiver)),
    ("ta", Keyword::Direction(Direction::Transmitter)),
    ("host", Keyword::Host),
    ("net", Keyword::Net),
    ("mask", Keyword::Mask),
    ("port", Keyword::Port),
    ("portrange", Keyword::PortRange),
    ("proto", Keyword::Proto),
    ("protochain", Keyword::ProtoChain),
    ("gateway", Keyword::Gateway),
    ("broadcast", Keyword::Broadcast),
    ("multicast", Keyword::Multicast),
    ("less", Keyword::Less),
    ("greater", Keyword::Greater),
    ("byte", Keyword::Byte),
    ("len", Keyword::Length),
    ("length", Keyword::Length),
    ("inbound", Keyword::Inbound),
    ("outbound", Keyword::Outbound),
    ("ifindex", Keyword::InterfaceIndex),
    ("ifname", Keyword::InterfaceName),
    ("on", Keyword::InterfaceName),
    ("ruleset", Keyword::Ruleset),
    ("rset", Keyword::Ruleset),
    ("rulenum", Keyword::Rule),
    ("rnr", Keyword::Rule),
    ("subrulenum", Keyword::Subrule),
    ("srnr", Keyword::Subrule),
    ("reason", Keyword::Reason),
    ("action", Keyword::Action),
    ("vlan", Keyword::Vlan),
    ("mpls", Keyword::Mpls),
    ("pppoed", Keyword::PppoeDiscovery),
    ("pppoes", Keyword::PppoeSession),
    ("geneve", Keyword::Geneve),
    ("llc", Keyword::Llc),
    ("type", Keyword::Type),
    ("subtype", Keyword::Subtype),
    ("dir", Keyword::WirelessDirection),
    ("direction", Keyword::WirelessDirection),
    ("lane", Keyword::Telephony),
    ("metac", Keyword::Telephony),
    ("bcc", Keyword::Telephony),
    ("oam", Keyword::Telephony),
    ("oamf4", Keyword::Telephony),
    ("oamf4ec", Keyword::Telephony),
    ("oamf4sc", Keyword::Telephony),
    ("sc", Keyword::Telephony),
    ("ilmic", Keyword::Telephony),
    ("vpi", Keyword::Telephony),
    ("vci", Keyword::Telephony),
    ("connectmsg", Keyword::Telephony),
    ("metaconnect", Keyword::Telephony),
    ("fisu", Keyword::Telephony),
    ("lssu", Keyword::Telephony),
    ("lsu", Keyword::Telephony),
    ("msu", Keyword::Telephony),
    ("hfisu", Keyword::Telephony),
    ("hlssu", Keyword::Telephony),
    ("hmsu", Keyword::Telephony),
    ("sio", Keyword::Telephony),
    ("opc", Keyword::Telephony),
    ("dpc", Keyword::Telephony),
    ("sls", Keyword::Telephony),
    ("hsio", Keyword::Telephony),
    ("hopc", Keyword::Telephony),
    ("hdpc", Keyword::Telephony),
    ("hsls", Keyword::Telephony),
];

const NUMBERS: &[(&str, u32)] = &[
    ("icmptype", 0),
    ("icmpcode", 1),
    ("icmp-echoreply", 0),
    ("icmp-unreach", 3),
    ("icmp-sourcequench", 4),
    ("icmp-redirect", 5),
    ("icmp-echo", 8),
    ("icmp-routeradvert", 9),
    ("icmp-routersolicit", 10),
    ("icmp-timxceed", 11),
    ("icmp-paramprob", 12),
    ("icmp-tstamp", 13),
    ("icmp-tstampreply", 14),
    ("icmp-ireq", 15),
    ("icmp-ireqreply", 16),
    ("icmp-maskreq", 17),
    ("icmp-maskreply", 18),
    ("icmp6type", 0),
    ("icmp6code", 1),
    ("icmp6-destinationunreach", 1),
    ("icmp6-packettoobig", 2),
    ("icmp6-timeexceeded", 3),
    ("icmp6-parameterproblem", 4),
    ("icmp6-echo", 128),
    ("icmp6-echoreply", 129),
    ("icmp6-multicastlistenerquery", 130),
    ("icmp6-multicastlistenerreportv1", 131),
    ("icmp6-multicastlistenerdone", 132),
    ("icmp6-routersolicit", 133),
    ("icmp6-routeradvert", 134),
    ("icmp6-neighborsolicit", 135),
    ("icmp6-neighboradvert", 136),
    ("icmp6-redirect", 137),
    ("icmp6-routerrenum", 138),
    ("icmp6-nodeinformationquery", 139),
    ("icmp6-nodeinformationresponse", 140),
    ("icmp6-ineighbordiscoverysolicit", 141),
    ("icmp6-ineighbordiscoveryadvert", 142),
    ("icmp6-multicastlistenerreportv2", 143),
    ("icmp6-homeagentdiscoveryrequest", 144),
    ("icmp6-homeagentdiscoveryreply", 145),
    ("icmp6-mobileprefixsolicit", 146),
    ("icmp6-mobileprefixadvert", 147),
    ("icmp6-certpathsolicit", 148),
    ("icmp6-certpathadvert", 149),
    ("icmp6-multicastrouteradvert", 151),
    ("icmp6-multicastroutersolicit", 152),
    ("icmp6-multicastrouterterm", 153),
    ("tcpflags", 13),
    ("tcp-fin", 0x01),
    ("tcp-syn", 0x02),
    ("tcp-rst", 0x04),
    ("tcp-push", 0x08),
    ("tcp-ack", 0x10),
    ("tcp-urg", 0x20),
    ("tcp-ece", 0x40),
    ("tcp-cwr", 0x80),
];

/// Frames of IEEE 802.2 by their letter or name.
pub(super) const LLC: &[(&str, Llc)] = &[
    ("i", Llc::Information),
    ("s", Llc::Supervisory),
    ("u", Llc::Unnumbered),
    ("rr", Llc::SupervisoryOf(0x01)),
    ("rnr", Llc::SupervisoryOf(0x05)),
    ("rej", Llc::SupervisoryOf(0x09)),
    ("ui", Llc::UnnumberedOf(0x03)),
    ("ua", Llc::UnnumberedOf(0x63)),
    ("disc", Llc::UnnumberedOf(0x43)),
    ("dm", Llc::UnnumberedOf(0x0f)),
    ("sabme", Llc::UnnumberedOf(0x6f)),
    ("test", Llc::UnnumberedOf(0xe3)),
    ("xid", Llc::UnnumberedOf(0xaf)),
    ("frmr", Llc::UnnumberedOf(0x87)),
];

/// Types of IEEE 802.11 frames: bits 2 and 3 of the first byte.
pub(super) const WIRELESS_TYPES: &[(&str, u32)] = &[("mgt", 0x00), ("ctl", 0x04), ("data", 0x08)];

/// Subtypes, with the type they belong to: bits 4 to 7.
pub(super) const WIRELESS_SUBTYPES: &[(&str, u32, u32)] = &[
    ("assoc-req", 0x00, 0x00),
    ("assocreq", 0x00, 0x00),
    ("assoc-resp", 0x00, 0x10),
    ("assocresp", 0x00, 0x10),
    ("reassoc-req", 0x00, 0x20),
    ("reassocreq", 0x00, 0x20),
    ("reassoc-resp", 0x00, 0x30),
    ("reassocresp", 0x00, 0x30),
    ("probe-req", 0x00, 0x40),
    ("probereq", 0x00, 0x40),
    ("probe-resp", 0x00, 0x50),
    ("proberesp", 0x00, 0x50),
    ("beacon", 0x00, 0x80),
    ("atim", 0x00, 0x90),
    ("disassoc", 0x00, 0xa0),
    ("disassociation", 0x00, 0xa0),
    ("auth", 0x00, 0xb0),
    ("authentication", 0x00, 0xb0),
    ("deauth", 0x00, 0xc0),
    ("deauthentication", 0x00, 0xc0),
    ("ps-poll", 0x04, 0xa0),
    ("pspoll", 0x04, 0xa0),
    ("rts", 0x04, 0xb0),
    ("cts", 0x04, 0xc0),
    ("ack", 0x04, 0xd0),
    ("cf-end", 0x04, 0xe0),
    ("cfend", 0x04, 0xe0),
    ("cf-end-ack", 0x04, 0xf0),
    ("data", 0x08, 0x00),
    ("data-cf-ack", 0x08, 0x10),
    ("data-cf-poll", 0x08, 0x20),
    ("data-cf-ack-poll", 0x08, 0x30),
    ("null", 0x08, 0x40),
    ("cf-ack", 0x08, 0x50),
    ("cf-poll", 0x08, 0x60),
    ("cf-ack-poll", 0x08, 0x70),
    ("qos-data", 0x08, 0x80),
    ("qos-data-cf-ack", 0x08, 0x90),
    ("qos-data-cf-poll", 0x08, 0xa0),
    ("qos-data-cf-ack-poll", 0x08, 0xb0),
    ("qos", 0x08, 0xc0),
    ("qos-cf-poll", 0x08, 0xe0),
    ("qos-cf-ack-poll", 0x08, 0xf0),
];

/// Bits for the distribution system in the second byte of an IEEE 802.11 frame.
pub(super) const WIRELESS_DIRECTIONS: &[(&str, u32)] =
    &[("nods", 0), ("tods", 1), ("fromds", 2), ("dstods", 3)];

/// Why pf logged a packet (OpenBSD `net/pfvar.h`, `PFRES_*`).
pub(super) const PF_REASONS: &[(&str, u32)] = &[
    ("match", 0),
    ("bad-offset", 1),
    ("fragment", 2),
    ("short", 3),
    ("normalize", 4),
    ("memory", 5),
    ("bad-timestamp", 6),
    ("congestion", 7),
    ("ip-option", 8),
    ("proto-cksum", 9),
    ("state-mismatch", 10),
    ("state-insert", 11),
    ("state-limit", 12),
    ("src-limit", 13),
    ("synproxy", 14),
];

/// What pf did with it (`PF_*`).
pub(super) const PF_ACTIONS: &[(&str, u32)] = &[
    ("pass", 0),
    ("accept", 0),
    ("drop", 1),
    ("block", 1),
    ("scrub", 2),
    ("nat", 4),
    ("binat", 6),
    ("rdr", 8),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_word_means_two_things() {
        let mut words: Vec<_> =
            KEYWORDS.iter().map(|(word, _)| *word).chain(NUMBERS.iter().map(|(word, _)| *word)).collect();
        let all = words.len();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), all);
        assert_eq!((word_of(Protocol::Link), word_of(Protocol::Esis)), ("ether", "esis"));
    }
}
