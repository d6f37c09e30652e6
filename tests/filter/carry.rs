//! The same packet behind another link-layer header, or without headers that do not matter: for questions that libpcap answers
//! rightly there. Headers are walked here by hand: nothing of what is under test is used.

use crate::frames::Sample;
use wharf::frame::LinkType;

const IP: u16 = 0x0800;
const IP6: u16 = 0x86dd;
const AUTHENTICATION: u8 = 51;

/// An EtherType and what it is of.
fn network(sample: &Sample) -> Option<(u16, &[u8])> {
    let Sample { link_type, data, .. } = sample;
    let half = |at: usize| Some(u16::from_be_bytes(*data.get(at..)?.first_chunk()?));
    match *link_type {
        LinkType::ETHERNET => Some((half(12)?, data.get(14..)?)),
        LinkType::LINUX_SLL => Some((half(14)?, data.get(16..)?)),
        LinkType::LINUX_SLL2 => Some((half(0)?, data.get(20..)?)),
        LinkType::NULL => {
            let family = u32::from_ne_bytes(*data.first_chunk()?);
            let kind = match family.min(family.swap_bytes()) {
                2 => IP,
                10 | 24 | 28 | 30 => IP6,
                _ => return None,
            };
            Some((kind, &data[4..]))
        }
        LinkType::RAW => Some((by_version(data)?, data)),
        LinkType::IEEE802_11_RADIOTAP => behind_radiotap(data),
        _ => None,
    }
}

fn by_version(packet: &[u8]) -> Option<u16> {
    match packet.first()? >> 4 {
        4 => Some(IP),
        6 => Some(IP6),
        _ => None,
    }
}

/// Of a data frame, behind the radiotap header, that of 802.11 and a SNAP header.
fn behind_radiotap(data: &[u8]) -> Option<(u16, &[u8])> {
    let header = usize::from(u16::from_le_bytes(*data.get(2..)?.first_chunk()?));
    let flags = match u32::from_le_bytes(*data.get(4..)?.first_chunk()?) {
        present if present & 2 == 0 || present >> 31 == 1 => 0,
        present => *data.get(if present & 1 == 1 { 16 } else { 8 })?,
    };
    let frame = data.get(header..)?;
    let control = *frame.first()?;
    if control & 0x0c != 0x08 {
        return None;
    }
    let mut length = if control & 0x80 == 0 { 24 } else { 26 };
    if flags & 0x20 != 0 {
        // libpcap aligns what is before the data counted from the capture's start.
        length = (header + length).next_multiple_of(4) - header;
    }
    let llc = frame.get(length..)?;
    if llc.get(..6)? != [0xaa, 0xaa, 3, 0, 0, 0] {
        return None;
    }
    Some((u16::from_be_bytes(*llc.get(6..)?.first_chunk()?), &llc[8..]))
}

/// Behind a plain Ethernet header.
pub(crate) fn to_ethernet(sample: &Sample) -> Sample {
    let (kind, packet) = network(sample).unwrap_or((0xffff, &[]));
    ethernet(kind, packet, sample)
}

fn ethernet(kind: u16, packet: &[u8], sample: &Sample) -> Sample {
    let data = [&[0; 12], &kind.to_be_bytes()[..], packet].concat();
    let cut = sample.wire_length.saturating_sub(sample.data.len() as u32);
    Sample { link_type: LinkType::ETHERNET, wire_length: data.len() as u32 + cut, data }
}

/// Behind Ethernet without MPLS labels; `None` where there are none.
pub(crate) fn without_labels(sample: &Sample) -> Option<Sample> {
    let (kind, mut packet) = network(sample)?;
    if kind != 0x8847 && kind != 0x8848 {
        return None;
    }
    loop {
        let (label, rest) = packet.split_first_chunk::<4>()?;
        packet = rest;
        if label[2] & 1 == 1 {
            return Some(ethernet(by_version(packet)?, packet, sample));
        }
    }
}

/// A cooked capture of version 2 as one of version 1; `None` of others.
pub(crate) fn to_cooked(sample: &Sample) -> Option<Sample> {
    let (header, packet) = sample.data.split_first_chunk::<20>()?;
    if sample.link_type != LinkType::LINUX_SLL2 {
        return None;
    }
    let start = [0, header[10], header[8], header[9], 0, header[11]];
    let data = [&start[..], &header[12..20], &header[..2], packet].concat();
    Some(Sample { link_type: LinkType::LINUX_SLL, data, wire_length: sample.wire_length.saturating_sub(4) })
}

/// With the number that this system has for the address family; `None` where it has it already, or it is none that is known.
pub(crate) fn with_own_family(sample: &Sample) -> Option<Sample> {
    let written = u32::from_ne_bytes(*sample.data.first_chunk()?);
    let own = match written.min(written.swap_bytes()) {
        2 => 2_u32,
        10 | 24 | 28 | 30 => 10,
        _ => return None,
    };
    if sample.link_type != LinkType::NULL || written == own {
        return None;
    }
    let mut sample = sample.clone();
    sample.data[..4].copy_from_slice(&own.to_ne_bytes());
    Some(sample)
}

/// Without the authentication headers between IP's and what they are of; `None` where there are none. Behind VLAN tags, labels and
/// PPPoE too.
pub(crate) fn without_authentication(sample: &Sample) -> Option<Sample> {
    let (mut kind, mut packet) = network(sample)?;
    loop {
        let bytes = match kind {
            0x8100 | 0x88a8 | 0x9100 | 0x8847 | 0x8848 => 4,
            0x8864 => 8,
            _ => break,
        };
        let (before, behind) = packet.split_at_checked(bytes)?;
        packet = behind;
        kind = match kind {
            0x8847 | 0x8848 if before[2] & 1 == 0 => kind,
            0x8847 | 0x8848 | 0x8864 => by_version(packet)?,
            _ => u16::from_be_bytes([before[2], before[3]]),
        };
    }
    let begin = sample.data.len() - packet.len();
    let mut sample = sample.clone();
    let mut found = false;
    // Where the number of what comes next stands, and where that begins.
    let (mut number_at, mut next) = match kind {
        IP => (begin + 9, begin + 4 * usize::from(packet.first()? & 15)),
        IP6 => (begin + 6, begin + 40),
        _ => return None,
    };
    loop {
        let is_extension = kind == IP6 && matches!(sample.data.get(number_at)?, 0 | 43 | 44 | 60);
        if *sample.data.get(number_at)? == AUTHENTICATION {
            let end = next + 4 * (usize::from(*sample.data.get(next + 1)?) + 2);
            if end > sample.data.len() {
                return None;
            }
            sample.data[number_at] = sample.data[next];
            sample.data.drain(next..end);
            sample.wire_length = sample.wire_length.saturating_sub((end - next) as u32);
            found = true;
        } else if is_extension {
            let length = 8 * (usize::from(*sample.data.get(next + 1)?) + 1);
            (number_at, next) = (next, next + length);
        } else {
            return found.then_some(sample);
        }
    }
}
