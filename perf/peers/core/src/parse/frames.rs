//! Frames in memory whose every count is known.

use std::ops::RangeInclusive;

use wharf::checksum::{Sum, internet, pseudo};
use wharf::frame::{LinkType, Record};

use super::job::{Place, REST, Tally, rule_port};

/// Behind the last frame of a set: a reader by vectors may look so far.
const SLACK: usize = 256;

const ETHERNET: usize = 14;
const IPV4: usize = 20;
const TCP: u8 = 6;
const UDP: u8 = 17;

/// What a set is like.
pub struct Shape {
    /// Bytes of a frame, all lengths alike.
    pub sizes: RangeInclusive<usize>,
    /// How many frames at least.
    pub frames: usize,
    /// Replies too, in which the port of a rule is the source, and not requests alone.
    pub replies: bool,
    /// The set is repeated, at other addresses, to so many bytes at least.
    pub bytes: usize,
}

/// Copies of one block of frames, one behind the other.
pub struct Frames {
    memory: Vec<u8>,
    /// From one copy to the next: a multiple of a cache line, so that frames lie alike in each.
    stride: usize,
    /// The first cache line in `memory`.
    start: usize,
    /// Where the frames of a copy lie in it.
    pub places: Vec<Place>,
    /// The same as a source of ours would say it.
    pub records: Vec<Record>,
    /// All frames are of one size, one behind the other.
    alike: bool,
    /// What is in one copy.
    pub expected: Tally,
}

impl Frames {
    pub fn new(shape: &Shape) -> Self {
        let mut random = Random(0x5eed);
        let (mut block, mut places, mut expected) = (Vec::new(), Vec::new(), Tally::default());
        let bad = (shape.frames / 1_000).max(1);
        for number in 0..shape.frames {
            let size = random.within(*shape.sizes.start(), *shape.sizes.end());
            // Among every thousand or so frames one has a bad IPv4 checksum, and another one a bad TCP or UDP checksum.
            let every = shape.frames / bad;
            let (ip, l4) = (number % every == every / 3, number % every == every / 2);
            let (wrong_ip, wrong_l4) = (ip && number / every < bad, l4 && number / every < bad);
            let (frame, output) = frame(&mut random, size, shape.replies, wrong_ip, wrong_l4);
            expected.outputs[output] += 1;
            expected.bad_ip += u64::from(wrong_ip);
            expected.bad_l4 += u64::from(wrong_l4);
            places.push(Place { offset: block.len() as u32, length: size as u32 });
            block.extend(frame);
            // Frames of one size stay packed; the others begin at odd and even addresses alike.
            if shape.sizes.start() != shape.sizes.end() {
                block.resize(block.len() | 1, 0);
            }
        }
        assert_eq!((expected.bad_ip, expected.bad_l4), (bad as u64, bad as u64), "a thousandth each");
        let stride = block.len().next_multiple_of(64);
        let copies = shape.bytes.div_ceil(stride).max(1);
        let mut memory = vec![0; copies * stride + 64 + SLACK];
        let start = memory.as_ptr().addr().wrapping_neg() % 64;
        for copy in 0..copies {
            memory[start + copy * stride..][..block.len()].copy_from_slice(&block);
        }
        let records = places.iter().zip(1..).map(|(place, number)| Record {
            offset: place.offset,
            captured: place.length,
            wire_length: place.length,
            number,
            link_type: LinkType::ETHERNET,
            ..Record::default()
        });
        let records = records.collect();
        let alike = shape.sizes.start() == shape.sizes.end();
        Self { memory, stride, start, places, records, alike, expected }
    }

    /// A copy's frames for ours: the records of each batch and the slab that they count from. A source writes the records
    /// of every batch to the same lines of cache; where all frames are of one size and packed, so that they lie alike in
    /// every batch, the first batch's records do for all.
    pub fn batches<'f>(
        &'f self,
        copy: &'f [u8],
        length: usize,
    ) -> impl Iterator<Item = (&'f [Record], &'f [u8])> {
        let size = self.places[0].length;
        let alike = self.alike;
        self.records.chunks(length).enumerate().map(move |(batch, records)| match alike {
            true => (&self.records[..records.len()], &copy[batch * length * size as usize..]),
            false => (records, copy),
        })
    }

    /// The copies are more than any cache holds: a source of ours says so of its batches.
    pub fn in_memory(&self) -> bool {
        self.memory.len() > 8 << 20
    }

    /// How many copies there are.
    pub fn copies(&self) -> usize {
        (self.memory.len() - 64 - SLACK) / self.stride
    }

    /// One of them, with what is behind it: [`Frames::places`] are within it.
    pub fn copy(&self, number: usize) -> &[u8] {
        &self.memory[self.start + number * self.stride..][..self.stride + SLACK]
    }
}

/// A frame of Ethernet, IPv4, and TCP or UDP at random; and its output.
fn frame(
    random: &mut Random,
    size: usize,
    replies: bool,
    wrong_ip: bool,
    wrong_l4: bool,
) -> (Vec<u8>, usize) {
    let mut bytes: Vec<u8> = (0..size).map(|_| random.next() as u8).collect();
    let protocol = if random.within(0, 1) == 0 { TCP } else { UDP };
    let output = random.within(0, REST);
    // No rule names ports above; a client's is one of them.
    let client = random.within(40_000, 60_000) as u16;
    let server = if output == REST { random.within(20_000, 39_999) as u16 } else { rule_port(output) };
    let reply = random.within(0, 1) == 1 && replies;
    let (source, destination) = if reply { (server, client) } else { (client, server) };
    bytes[12..ETHERNET].copy_from_slice(&[0x08, 0x00]);
    let ip = &mut bytes[ETHERNET..];
    let total = ip.len() as u16;
    ip[..2].copy_from_slice(&[0x45, 0]);
    ip[2..4].copy_from_slice(&total.to_be_bytes());
    ip[6..12].copy_from_slice(&[0x40, 0, 64, protocol, 0, 0]);
    let checksum = internet(&ip[..IPV4]) ^ u16::from(wrong_ip) << 5;
    ip[10..12].copy_from_slice(&checksum.to_be_bytes());
    let address = |at: usize| <[u8; 4]>::try_from(&ip[at..at + 4]).expect("four bytes").into();
    let sum = pseudo::v4(address(12), address(16), protocol, u32::from(total) - IPV4 as u32);
    let l4 = &mut ip[IPV4..];
    l4[..2].copy_from_slice(&source.to_be_bytes());
    l4[2..4].copy_from_slice(&destination.to_be_bytes());
    let at = if protocol == TCP {
        // A header without options: 5 words, ACK.
        l4[12..14].copy_from_slice(&[0x50, 0x10]);
        16
    } else {
        let length = l4.len() as u16;
        l4[4..6].copy_from_slice(&length.to_be_bytes());
        6
    };
    l4[at..at + 2].fill(0);
    let checksum = match (sum.then(Sum::of(l4)).checksum(), wrong_l4) {
        // 0 would say that UDP has none.
        (0, false) if protocol == UDP => 0xffff,
        (checksum, false) => checksum,
        (checksum, true) => checksum.wrapping_add(0x0101).max(1),
    };
    l4[at..at + 2].copy_from_slice(&checksum.to_be_bytes());
    (bytes, output)
}

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }

    /// Both included.
    fn within(&mut self, first: usize, last: usize) -> usize {
        first + self.next() as usize % (last - first + 1)
    }
}
