//! A walk over the frames of one `TPACKET_V3` block.
//!
//! A pure function of the block's descriptor and of its body, the bytes behind that: every offset and length in them is checked, so that a block
//! that contradicts itself ends in [`Damage`], not in a read beyond it.

use crate::sys::packet_abi::{BlockDescriptor, FrameHeader, LinkAddress};
use crate::sys::prefetch::{self, LINE};
use zerocopy::FromBytes;

/// Where a frame's own bytes may begin at the earliest, counted from its header.
const HEADERS: usize = size_of::<FrameHeader>() + size_of::<LinkAddress>();

/// Bytes before the walk that are asked for: what the kernel has written on another CPU is in no cache of this one.
const AHEAD: usize = 2 << 10;

/// What is wrong with a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Damage(pub(super) &'static str);

/// A frame as it lies in its block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slot {
    /// What the kernel says of it.
    pub(super) header: FrameHeader,
    /// Where it came from.
    pub(super) address: LinkAddress,
    /// Offset of its first byte in the body. At least the walk's `headroom` bytes before it are free.
    pub(super) start: usize,
}

/// Position in a block's body.
#[derive(Clone, Copy, Debug)]
pub(super) struct Walk {
    next: usize,
    left: u32,
    headroom: usize,
    /// What lies before this has been asked for.
    asked: usize,
}

impl Walk {
    /// To the first frame of a block whose frames have `headroom` free bytes before them.
    pub(super) fn new(descriptor: &BlockDescriptor, headroom: usize) -> Result<Self, Damage> {
        let next = (descriptor.offset_to_first as usize).checked_sub(size_of::<BlockDescriptor>());
        let next = next.ok_or(Damage("a frame header within the block's own"))?;
        Ok(Self { next, left: descriptor.frames, headroom, asked: next })
    }

    /// True after the last frame.
    pub(super) fn is_over(&self) -> bool {
        self.left == 0
    }

    /// The next frame, `None` after the last. After damage it stays where it is.
    #[inline(always)]
    pub(super) fn next(&mut self, body: &[u8]) -> Result<Option<Slot>, Damage> {
        if self.left == 0 {
            return Ok(None);
        }
        self.ask(body);
        let bytes = body.get(self.next..).ok_or(Damage("a frame header beyond the block"))?;
        let ((header, address), _) = read_headers(bytes).ok_or(Damage("a frame header beyond the block"))?;
        let mac = usize::from(header.mac);
        if mac < HEADERS + self.headroom {
            return Err(Damage("a frame that overlaps its header"));
        }
        // On 64 bits no sum of these overflows; on 32 bits a block is far below 4 GiB, and `checked` says so.
        let end = mac.checked_add(header.captured as usize).filter(|end| *end <= bytes.len());
        let end = end.ok_or(Damage("a frame beyond the block"))?;
        let step = header.next_offset as usize;
        if self.left > 1 && step < end {
            return Err(Damage("frames that overlap"));
        }
        let slot = Slot { header, address, start: self.next + mac };
        self.next = self.next.checked_add(step).ok_or(Damage("a frame header beyond the block"))?;
        self.left -= 1;
        Ok(Some(slot))
    }

    /// Asks for what will be walked over soon.
    #[inline(always)]
    fn ask(&mut self, body: &[u8]) {
        let end = self.next.saturating_add(AHEAD).min(body.len());
        // Of a frame that is longer than that, not for the whole.
        self.asked = self.asked.max(self.next);
        while self.asked < end {
            prefetch::for_reading(body.as_ptr().wrapping_add(self.asked));
            self.asked += LINE;
        }
    }
}

#[inline(always)]
fn read_headers(bytes: &[u8]) -> Option<((FrameHeader, LinkAddress), &[u8])> {
    let (header, rest) = FrameHeader::read_from_prefix(bytes).ok()?;
    let (address, rest) = LinkAddress::read_from_prefix(rest).ok()?;
    Some(((header, address), rest))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;
    use zerocopy::IntoBytes;

    pub(in super::super) const HEADROOM: usize = 24;

    /// Writes a block as the kernel does: descriptor, then header, address, room and bytes of each frame.
    pub(in super::super) fn build(size: usize, frames: &[(FrameHeader, LinkAddress, &[u8])]) -> Vec<u8> {
        let mut block = BlockDescriptor {
            version: 1,
            status: 1,
            frames: frames.len() as u32,
            offset_to_first: size_of::<BlockDescriptor>() as u32,
            ..BlockDescriptor::default()
        }
        .as_bytes()
        .to_vec();
        for (index, (header, address, data)) in frames.iter().enumerate() {
            let mac = HEADERS + HEADROOM;
            let step = (mac + data.len()).next_multiple_of(crate::sys::packet_abi::ALIGNMENT);
            let last = index + 1 == frames.len();
            let header = FrameHeader {
                next_offset: if last { 0 } else { step as u32 },
                captured: data.len() as u32,
                length: header.length.max(data.len() as u32),
                mac: mac as u16,
                ..*header
            };
            let start = block.len();
            block.extend_from_slice(header.as_bytes());
            block.extend_from_slice(address.as_bytes());
            block.resize(start + mac, 0xee);
            block.extend_from_slice(data);
            block.resize(start + step, 0xdd);
        }
        assert!(block.len() <= size, "frames do not fit");
        block.resize(size, 0);
        block
    }

    /// A walk over a block that was built, and its body.
    pub(in super::super) fn begin(block: &[u8]) -> Result<(Walk, &[u8]), Damage> {
        let (descriptor, body) = BlockDescriptor::read_from_prefix(block).expect("a descriptor");
        Ok((Walk::new(&descriptor, HEADROOM)?, body))
    }

    fn all(block: &[u8]) -> Result<Vec<Slot>, Damage> {
        let (mut walk, body) = begin(block)?;
        std::iter::from_fn(|| walk.next(body).transpose()).collect()
    }

    fn three() -> Vec<u8> {
        let plain = (FrameHeader::default(), LinkAddress::default());
        build(
            4096,
            &[(plain.0, plain.1, &[1; 60]), (plain.0, plain.1, &[2; 61]), (plain.0, plain.1, &[3; 1])],
        )
    }

    #[test]
    fn finds_every_frame_where_it_lies() {
        let block = three();
        let (_, body) = begin(&block).unwrap();
        let found: Vec<_> = all(&block)
            .unwrap()
            .iter()
            .map(|slot| &body[slot.start..][..slot.header.captured as usize])
            .collect();
        assert_eq!(found, [&[1; 60][..], &[2; 61], &[3; 1]]);
    }

    #[test]
    fn an_empty_block_has_no_frame() {
        assert_eq!(all(&build(4096, &[])), Ok(vec![]));
    }

    #[test]
    fn contradictions_are_damage() {
        let first = size_of::<BlockDescriptor>();
        let field = |name: usize| first + name;
        let cases: [(usize, u32, &str); 9] = [
            (
                std::mem::offset_of!(BlockDescriptor, offset_to_first),
                47,
                "a frame header within the block's own",
            ),
            (std::mem::offset_of!(BlockDescriptor, offset_to_first), 4090, "a frame header beyond the block"),
            (
                std::mem::offset_of!(BlockDescriptor, offset_to_first),
                u32::MAX,
                "a frame header beyond the block",
            ),
            (field(std::mem::offset_of!(FrameHeader, captured)), 5000, "a frame beyond the block"),
            (field(std::mem::offset_of!(FrameHeader, captured)), u32::MAX, "a frame beyond the block"),
            (field(std::mem::offset_of!(FrameHeader, next_offset)), 0, "frames that overlap"),
            (field(std::mem::offset_of!(FrameHeader, next_offset)), 16, "frames that overlap"),
            // The mac offset with the net offset behind it.
            (field(std::mem::offset_of!(FrameHeader, mac)), 0x0014_0014, "a frame that overlaps its header"),
            (field(std::mem::offset_of!(FrameHeader, mac)), 0x0050_0050, "a frame that overlaps its header"),
        ];
        for (offset, value, reason) in cases {
            let mut block = three();
            block[offset..offset + 4].copy_from_slice(&value.to_ne_bytes());
            assert_eq!(all(&block), Err(Damage(reason)));
        }
        let mut block = three();
        let frames = std::mem::offset_of!(BlockDescriptor, frames);
        block[frames] = 4;
        assert!(all(&block).is_err(), "the last frame has no next");
    }

    proptest! {
        #[test]
        fn whatever_the_block_holds_slots_lie_within(
            mut block in Just(three()),
            changes in prop::collection::vec((0_usize..1024, any::<u8>()), 0..12),
            length in size_of::<BlockDescriptor>()..=4096,
        ) {
            for (offset, value) in changes {
                block[offset] = value;
            }
            block.truncate(length);
            if let Ok((mut walk, body)) = begin(&block) {
                for _ in 0..100 {
                    let Ok(Some(slot)) = walk.next(body) else { break };
                    prop_assert!(slot.start >= HEADROOM);
                    prop_assert!(slot.start + slot.header.captured as usize <= body.len());
                }
            }
        }
    }
}
