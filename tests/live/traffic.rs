//! Flows in both directions, of every kind that a hash could tear apart: tagged, fragmented, over IPv4 and IPv6. Each
//! frame bears its number.

use crate::support::frames::tagged;

/// The next header of IPv6 that is a fragment's.
const FRAGMENT: u8 = 44;

pub(crate) mod of_flow {
    /// Most packets of a flow; a packet's number is its flow's times this and its place.
    pub(crate) const PACKETS: u32 = 8;
}

/// What tells a flow from others.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flow {
    id: u32,
    hosts: [u32; 2],
    ports: [u16; 2],
    protocol: u8,
    ipv6: bool,
    tags: usize,
}

/// So many flows between as many pairs of hosts, some of which are each other's neighbours.
pub(crate) fn flows(count: u32) -> Vec<Flow> {
    (0..count)
        .map(|id| Flow {
            id,
            hosts: [id, id / 7 + 1_000_000],
            ports: [(1024 + id % 50_000) as u16, [53, 80, 443, 4789][id as usize % 4]],
            protocol: if id % 3 == 0 { 6 } else { 17 },
            ipv6: id % 4 == 1,
            tags: (id % 5).saturating_sub(1).min(3) as usize,
        })
        .collect()
}

impl Flow {
    /// One of many between the same two hosts, none of them fragmented.
    pub(crate) fn between_two_hosts(id: u32) -> Self {
        Self { id, hosts: [1, 2], ports: [(2000 + id) as u16, 443], protocol: 6, ipv6: false, tags: 0 }
    }

    /// VLAN tags of its frames.
    pub(crate) fn tags(&self) -> usize {
        self.tags
    }

    fn is_fragmented(&self) -> bool {
        self.hosts != [1, 2] && (self.id.is_multiple_of(2) || self.ipv6 && self.id % 8 == 1)
    }

    /// Whole packets there and back, then a datagram there and one back, in fragments where it has such.
    pub(crate) fn frames(&self) -> Vec<Vec<u8>> {
        let (there, back) = ([0, 1], [1, 0]);
        let mut frames = Vec::new();
        let mut number = self.id * of_flow::PACKETS;
        let mut next = || {
            number += 1;
            number - 1
        };
        frames.push(self.frame(there, next(), None));
        frames.push(self.frame(back, next(), None));
        for way in [there, back] {
            if self.is_fragmented() {
                // More fragments; more, at an offset; the last.
                for fragment in [0x2000, 0x2004, 0x0008] {
                    frames.push(self.frame(way, next(), Some(fragment)));
                }
            } else {
                frames.push(self.frame(way, next(), None));
            }
        }
        frames
    }

    fn frame(&self, way: [usize; 2], number: u32, fragment: Option<u16>) -> Vec<u8> {
        let ports = way.map(|end| self.ports[end]);
        let transport = match fragment {
            // No ports, whatever stands there.
            Some(fragment) if fragment & 0x1fff != 0 => vec![0xff; 20],
            _ => {
                let mut header = ports.map(u16::to_be_bytes).concat();
                header.resize(20, 0);
                header
            }
        };
        let payload = [&transport[..], &number.to_be_bytes(), &[0; 12]].concat();
        let (kind, packet) =
            if self.ipv6 { self.ipv6(way, fragment, &payload) } else { self.ipv4(way, fragment, &payload) };
        let mut frame = [&[2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1][..], &kind, &packet].concat();
        for tag in 0..self.tags {
            frame = tagged(&frame, if tag == 1 { 0x88a8 } else { 0x8100 }, (self.id % 4000) as u16 + 1);
        }
        frame
    }

    fn ipv4(&self, way: [usize; 2], fragment: Option<u16>, payload: &[u8]) -> ([u8; 2], Vec<u8>) {
        let mut header = vec![0x45, 0];
        header.extend((20 + payload.len() as u16).to_be_bytes());
        header.extend([0x12, 0x34]);
        header.extend(fragment.unwrap_or(0x4000).to_be_bytes());
        header.extend([64, self.protocol, 0, 0]);
        // 198.18.0.0/15 and its like: no host here has such addresses.
        way.iter().for_each(|&end| header.extend((0xc612_0000 + self.hosts[end]).to_be_bytes()));
        ([0x08, 0x00], [&header, payload].concat())
    }

    fn ipv6(&self, way: [usize; 2], fragment: Option<u16>, payload: &[u8]) -> ([u8; 2], Vec<u8>) {
        // RFC 8200, 4.5: next header, offset in units of 8 bytes with the flag for more at the end, identification.
        let extension = fragment.map_or(Vec::new(), |fragment| {
            let place = ((fragment & 0x1fff) << 3) | u16::from(fragment & 0x2000 != 0);
            [&[self.protocol, 0][..], &place.to_be_bytes(), &self.id.to_be_bytes()].concat()
        });
        let payload = [&extension[..], payload].concat();
        let mut header = vec![0x60, 0, 0, 0];
        header.extend((payload.len() as u16).to_be_bytes());
        header.extend([if fragment.is_some() { FRAGMENT } else { self.protocol }, 64]);
        for end in way {
            header.extend([0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0]);
            header.extend(self.hosts[end].to_be_bytes());
        }
        ([0x86, 0xdd], [header, payload].concat())
    }

    /// The number that a frame of a flow, or one of [`super::frames::udp`], bears; `None` for any other. The frame may
    /// have a `LINUX_SLL2` header in place of Ethernet's.
    pub(crate) fn number(frame: &[u8]) -> Option<u32> {
        let cooked = frame
            .get(..2)
            .is_some_and(|kind| matches!(kind, [0x08, 0x00] | [0x86, 0xdd] | [0x81, 0x00] | [0x88, 0xa8]));
        let (mut kind, mut at) = if cooked { (0, 20) } else { (12, 14) };
        while matches!(frame.get(kind..kind + 2)?, [0x81, 0x00] | [0x88, 0xa8]) {
            (kind, at) = (at + 2, at + 4);
        }
        let header = match frame.get(kind..kind + 2)? {
            [0x08, 0x00] => 20,
            [0x86, 0xdd] => 40 + if *frame.get(at + 6)? == FRAGMENT { 8 } else { 0 },
            _ => return None,
        };
        let nobody = frame.get(at + 16..at + 20)? == [198, 51, 100, 7];
        let transport = if nobody { 8 } else { 20 };
        let number = frame.get(at + header + transport..)?.first_chunk()?;
        Some(u32::from_be_bytes(*number))
    }
}
