//! Packets that a packet has with it, but that are no layers of it: compressed ones, and quotations.

use super::{IpLayer, Layers, Packet, Transport};
use crate::frame::{Frame, LinkType};
use flate2::{Decompress, FlushDecompress};

/// Longest packet inflated: an IPv6 header and the most its length field can count.
const LONGEST: usize = 40 + 65_535;

/// A packet found in another's payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Carried {
    /// Its first header.
    pub link_type: LinkType,
    /// Its bytes.
    pub data: Vec<u8>,
    /// How many it had on its own wire.
    pub wire_length: u32,
}

impl Carried {
    /// The packet as a frame, ready to be parsed.
    #[must_use]
    pub fn frame(&self) -> Frame<'_> {
        let mut frame = Frame::new(self.link_type, &self.data);
        frame.record.wire_length = frame.record.wire_length.max(self.wire_length);
        frame
    }

    /// Where its headers lie.
    #[must_use]
    pub fn layers(&self) -> Layers {
        super::parse(&self.frame())
    }
}

impl Packet<'_> {
    /// A packet carried where no walk in place can reach it or should count it:
    ///
    /// - the IP packet in an IPComp payload (RFC 3173) compressed with DEFLATE (RFC 2394),
    /// - the last packet sampled in an sFlow datagram (version 5, <https://sflow.org/sflow_version_5.txt>):
    ///   a quotation, nothing that was sent from one end of this packet to the other.
    ///
    /// Copies: for people, not for every packet.
    #[must_use]
    pub fn carried(&self) -> Option<Carried> {
        const IPCOMP: u8 = 108;
        const SFLOW: u16 = 6343;
        let ip = self.innermost()?;
        match ip.transport {
            Transport::None if ip.protocol == IPCOMP => inflate(self.segment(ip)),
            Transport::Udp if ip.destination_port == SFLOW => self.last_sample(ip),
            _ => None,
        }
    }

    fn last_sample(&self, ip: &IpLayer) -> Option<Carried> {
        let mut reader = Words(self.payload(ip));
        let (5, address) = (reader.next()?, reader.next()?) else { return None };
        reader.skip(if address == 2 { 16 } else { 4 })?;
        // Sub-agent, sequence number, uptime.
        reader.skip(12)?;
        let samples = reader.next()?;
        let mut last = None;
        for _ in 0..samples {
            let Some((format, sample)) = reader.record() else { break };
            last = sampled_header(format, sample).or(last);
        }
        last
    }
}

/// An IPComp header (RFC 3173 3.1) and what DEFLATE makes of the rest, where that is an IP packet.
fn inflate(segment: &[u8]) -> Option<Carried> {
    let (&[next_header, _, ..], compressed) = segment.split_first_chunk::<4>()?;
    if !matches!(next_header, 4 | 41) {
        return None;
    }
    let mut data = Vec::with_capacity(LONGEST);
    Decompress::new(false).decompress_vec(compressed, &mut data, FlushDecompress::Finish).ok()?;
    let wire_length = data.len() as u32;
    (!data.is_empty()).then_some(Carried { link_type: LinkType::RAW, data, wire_length })
}

/// The raw packet header in a flow sample (formats 1 and 3), if it has one.
fn sampled_header(format: u32, sample: &[u8]) -> Option<Carried> {
    const RAW_PACKET: u32 = 1;
    let mut reader = Words(sample);
    reader.skip(match format {
        1 => 28,
        3 => 40,
        _ => return None,
    })?;
    for _ in 0..reader.next()? {
        let (RAW_PACKET, record) = reader.record()? else { continue };
        let mut header = Words(record);
        let link_type = match header.next()? {
            1 => LinkType::ETHERNET,
            11 => LinkType::IPV4,
            12 => LinkType::IPV6,
            _ => return None,
        };
        let (wire_length, _stripped, length) = (header.next()?, header.next()?, header.next()?);
        let data = header.0.get(..length as usize).unwrap_or(header.0).to_vec();
        return Some(Carried { link_type, data, wire_length });
    }
    None
}

/// XDR (RFC 4506): big-endian words, and records of type, length and body.
struct Words<'a>(&'a [u8]);

impl<'a> Words<'a> {
    fn next(&mut self) -> Option<u32> {
        let (word, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u32::from_be_bytes(*word))
    }

    fn skip(&mut self, bytes: usize) -> Option<()> {
        self.0 = self.0.get(bytes..)?;
        Some(())
    }

    /// The format of a record and its body, as much of it as is there.
    fn record(&mut self) -> Option<(u32, &'a [u8])> {
        let (format, length) = (self.next()?, self.next()? as usize);
        let (body, rest) = self.0.split_at(length.min(self.0.len()));
        self.0 = rest;
        Some((format, body))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::parse;

    #[test]
    fn a_stored_block_inflates() {
        // RFC 1951 3.2.4: final block, stored, 5 bytes.
        let segment = [4, 0, 0, 2, 0x01, 5, 0, 0xfa, 0xff, b'h', b'e', b'l', b'l', b'o'];
        assert_eq!(inflate(&segment).unwrap().data, b"hello");
    }

    #[test]
    fn what_does_not_inflate_is_nothing() {
        assert_eq!(inflate(&[4, 0, 0, 2, 0xff, 0xff, 0xff]), None);
        assert_eq!(inflate(&[6, 0, 0, 2, 1, 0, 0, 0xff, 0xff]), None);
        assert_eq!(inflate(&[4, 0, 0]), None);
    }

    #[test]
    fn the_last_sample_of_a_datagram_is_found() {
        let word = u32::to_be_bytes;
        let sampled = [0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
        let record = [word(11), word(99), word(0), word(20)].concat();
        let mut sample = [0; 28].to_vec();
        sample.extend([word(1), word(1), word(36)].concat());
        sample.extend(record.iter().chain(&sampled));
        let mut datagram = [word(5), word(1), word(0), word(0), word(0), word(0), word(1)].concat();
        datagram.extend([word(1), word(sample.len() as u32)].concat());
        datagram.extend(sample);

        let mut bytes = vec![0x45, 0, 0, 0, 0, 0, 0, 0, 64, 17, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2];
        bytes.extend([0x9c, 0x40, 0x18, 0xc7, 0, 0, 0, 0]);
        bytes.extend(datagram);
        let frame = Frame::new(LinkType::RAW, &bytes);
        let layers = parse(&frame);
        let carried = Packet::new(frame, &layers).carried().unwrap();
        assert_eq!((carried.data.as_slice(), carried.wire_length), (&sampled[..], 99));
        assert!(parse(&carried.frame()).outer.is_some());
        assert_eq!(layers.ip_depth, 1);
    }
}
