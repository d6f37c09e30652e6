//! How large a ring's blocks are, and how many there are.

use super::{Options, Problem};
use crate::sys::interfaces::InterfaceInfo;
use crate::sys::packet_abi::RingRequest;
use std::time::Duration;

/// Block sizes are multiples of this, which every page size of Linux divides.
const BLOCK_UNIT: usize = 64 << 10;
/// Larger ones spare no CPU: this one holds 1600 small frames.
const MOST_BLOCK: usize = 256 << 10;
/// A ring bridges so long without a reader, where it has the bytes. Each block takes its place when its time is over,
/// full or not: however little comes, the ring has to have as many as that.
const BRIDGED: Duration = Duration::from_secs(10);
/// Segments are joined to as much where the kernel does not say.
const JOINED: u32 = 64 << 10;
/// More than what the kernel puts before a frame: its header, an address, the link header and room for a tag.
const BEFORE_FRAME: usize = 512;
/// The kernel counts a ring's bytes in 32 bits.
const MOST_RING: usize = u32::MAX as usize - (1 << 20);

impl Options {
    /// Most bytes of a frame that are kept.
    pub(super) fn largest_frame(&self, device: &InterfaceInfo, all: &[InterfaceInfo]) -> usize {
        let largest = |device: &InterfaceInfo| match device.joined {
            0 => device.mtu.max(JOINED),
            joined => device.mtu.max(joined),
        };
        let largest =
            if device.is_any() { all.iter().map(largest).max().unwrap_or(JOINED) } else { largest(device) };
        match self.snap_length {
            0 => largest as usize,
            snap_length => largest.min(snap_length) as usize,
        }
    }

    /// A ring of so many bytes for frames of at most so many.
    pub(super) fn geometry(&self, ring: usize, frame: usize) -> Result<RingRequest, Problem> {
        if ring > MOST_RING {
            return Err(format!("a ring of {} MiB: the kernel takes less than 4 GiB", ring >> 20).into());
        }
        let block = match self.block {
            Some(bytes) => bytes.clamp(BLOCK_UNIT, MOST_RING / 2).next_multiple_of(BLOCK_UNIT),
            None => {
                // The kernel takes pages by powers of two.
                let least = (frame + BEFORE_FRAME).clamp(BLOCK_UNIT, 1 << 20).next_power_of_two();
                let times = (BRIDGED.as_millis() / self.retire.as_millis().max(1)).max(1);
                let most = ring / usize::try_from(times).unwrap_or(usize::MAX);
                (1 << most.max(1).ilog2()).clamp(least, MOST_BLOCK.max(least))
            }
        };
        let count = ring.div_ceil(block).max(2);
        let frame = 2048;
        Ok(RingRequest {
            block_size: block as u32,
            block_count: count as u32,
            frame_size: frame,
            frame_count: block as u32 / frame * count as u32,
            retire_timeout: u32::try_from(self.retire.as_millis()).unwrap_or(u32::MAX).max(1),
            private_size: 0,
            features: 0,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::DEFAULT_RETIRE;
    use super::*;
    use crate::source::packet::DEFAULT_RING;

    const WHOLE: u32 = 262_144;

    /// Bytes and number of blocks, and the milliseconds that they bridge however little comes.
    fn blocks(options: &Options, device: &InterfaceInfo, ring: usize) -> (u32, u32, u32) {
        let request = options.geometry(ring, options.largest_frame(device, &[])).unwrap();
        assert!(request.frame_count == request.block_size / request.frame_size * request.block_count);
        (request.block_size >> 10, request.block_count, request.block_count * request.retire_timeout)
    }

    #[test]
    fn a_default_ring_bridges_ten_seconds_however_little_comes() {
        let device = InterfaceInfo { index: 1, mtu: 1500, joined: 65_536, ..InterfaceInfo::default() };
        for (retire, snap_length, expected) in [
            (DEFAULT_RETIRE, 0, (128, 512, 10_240)),
            (Duration::from_millis(50), WHOLE, (256, 256, 12_800)),
            (Duration::from_millis(20), WHOLE, (128, 512, 10_240)),
            // Headers alone need no room for a joined segment.
            (Duration::from_millis(10), 96, (64, 1024, 10_240)),
        ] {
            let options = Options::new("eth0".into()).retire_after(retire).snap_length(snap_length);
            assert_eq!(blocks(&options, &device, DEFAULT_RING), expected, "{retire:?}");
        }
        // A larger one bridges longer, and a small one what it can.
        let late = Options::new("eth0".into()).retire_after(Duration::from_millis(50));
        assert_eq!(blocks(&late, &device, 4 * DEFAULT_RING), (256, 1024, 51_200));
        assert_eq!(blocks(&late, &device, 1 << 20), (128, 8, 400));
        assert_eq!(blocks(&late, &device, 1), (128, 2, 100));
        assert_eq!(blocks(&late.block_bytes(1 << 20), &device, DEFAULT_RING), (1024, 64, 3_200));
    }

    #[test]
    fn a_block_holds_the_largest_frame() {
        let options = Options::new("eth0".into());
        for (mtu, joined, snap_length, expected) in [
            (1500, 0, 0, 128),
            (9000, 65_536, 0, 128),
            (65_536, 65_536, WHOLE, 128),
            // Segments beyond 64 KiB (BIG TCP), whole or cut.
            (1500, 185_000, 0, 256),
            (1500, 524_280, 0, 1024),
            (1500, 524_280, WHOLE, 512),
            (1500, 524_280, 65_000, 128),
        ] {
            let device = InterfaceInfo { index: 1, mtu, joined, ..InterfaceInfo::default() };
            let (size, ..) = blocks(&options.clone().snap_length(snap_length), &device, DEFAULT_RING);
            assert_eq!(size, expected, "{mtu} {joined} {snap_length}");
        }
    }
}
