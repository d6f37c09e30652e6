//! How large a ring is where nobody says it: by the interface's speed and the memory there is.

use crate::sys::InterfaceInfo;
use std::fs;

/// Bytes of a ring on an interface that does not say how fast it is: half a second of 64-byte frames at a million a
/// second (each takes 160 bytes there), or of full frames at 1 Gbit/s. tcpdump's 2 MiB lose at half that rate.
pub const DEFAULT_RING: usize = 64 << 20;

/// Most bytes of all rings together, and the share of the memory available that they may take.
const MOST: usize = 1 << 30;
const SHARE: usize = 8;
/// Fewer are of no use.
const LEAST: usize = 2 << 20;
const UNIT: usize = 1 << 20;
/// A ring holds what a link carries in this part of a second.
const PART_OF_A_SECOND: usize = 10;
/// Kinds of virtual interfaces that are as fast as the device below; others state a number that means nothing.
const OF_A_DEVICE: [&str; 6] = ["vlan", "bond", "team", "macvlan", "ipvlan", "hsr"];

/// Bytes of a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) ring: usize,
    /// What it is raised to when the kernel loses frames; `None` where that would take too much.
    pub(super) larger: Option<usize>,
}

/// For one of so many rings.
pub(super) fn of(device: &InterfaceInfo, rings: usize) -> Size {
    let is_told = device.kind.as_deref().is_none_or(|kind| OF_A_DEVICE.contains(&kind));
    by(device.speed.filter(|_| is_told), rings, available())
}

fn by(mbit: Option<u32>, rings: usize, available: Option<usize>) -> Size {
    let budget = available.map_or(MOST, |bytes| bytes / SHARE).min(MOST) / rings.max(1);
    let carried = mbit.map_or(0, |mbit| mbit as usize * (1_000_000 / 8) / PART_OF_A_SECOND);
    let ring = carried.next_multiple_of(UNIT).max(DEFAULT_RING).min(budget / UNIT * UNIT).max(LEAST);
    // The ring that is raised stays beside the larger one.
    Size { ring, larger: (ring * 3 <= budget).then_some(ring * 2) }
}

/// Memory that can be had without swapping (`MemAvailable`, proc_meminfo(5)).
fn available() -> Option<usize> {
    let table = fs::read_to_string("/proc/meminfo").ok()?;
    let line = table.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix(" kB")?.parse::<usize>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: Option<usize> = Some(1 << 30);

    #[test]
    fn by_speed_within_the_budget() {
        let sizes = |mbit, rings, available| {
            let Size { ring, larger } = by(mbit, rings, available);
            (ring >> 20, larger.map(|bytes| bytes >> 20))
        };
        assert_eq!(sizes(None, 1, None), (64, Some(128)));
        assert_eq!(sizes(Some(1_000), 1, None), (64, Some(128)));
        assert_eq!(sizes(Some(10_000), 1, None), (120, Some(240)));
        assert_eq!(sizes(Some(100_000), 1, None), (1024, None));
        assert_eq!(sizes(Some(10_000), 4, None), (120, None));
        assert_eq!(sizes(None, 1, GIB), (64, None));
        assert_eq!(sizes(None, 4, GIB), (32, None));
        assert_eq!(sizes(None, 4, Some(0)), (2, None));
    }

    #[test]
    fn memory_is_known_here() {
        assert!(available().is_some_and(|bytes| bytes > 1 << 20));
    }

    #[test]
    fn what_a_virtual_interface_claims_counts_for_nothing() {
        let fast = |kind: Option<&str>| InterfaceInfo {
            speed: Some(10_000),
            kind: kind.map(str::to_owned),
            ..InterfaceInfo::default()
        };
        let unknown = of(&InterfaceInfo::default(), 1).ring;
        assert_eq!(of(&fast(Some("veth")), 1).ring, unknown);
        assert!(of(&fast(None), 1).ring >= unknown && of(&fast(Some("vlan")), 1).ring >= unknown);
    }
}
