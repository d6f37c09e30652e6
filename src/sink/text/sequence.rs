//! Where each TCP connection's sequence numbers began, so that lines can count from there.

/// Both endpoints of a connection in a fixed order, the same for both directions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Key {
    low: [u8; 16],
    high: [u8; 16],
    /// Port of `low` in the upper 16 bits, that of `high` in the lower.
    ports: u32,
    /// False in an empty slot, which no connection equals.
    used: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    key: Key,
    /// First sequence number of the `low` side of the key, and of the `high` one.
    starts: [u32; 2],
}

/// Slots of a set, newest first: as in a set-associative cache, the oldest leaves when all are taken.
const WAYS: usize = 4;
const SETS: usize = 1 << 14;

/// A table of at most 65,536 connections (4 MiB, allocated with the first TCP segment). It is bounded: where
/// more are open at once some are forgotten, and their next line shows absolute numbers as a first line
/// does. Hostile traffic cannot make it grow or slow it down.
#[derive(Debug, Default)]
pub(super) struct Sequences {
    slots: Vec<Slot>,
}

/// One segment's endpoints.
#[derive(Clone, Copy, Debug)]
pub(super) struct Endpoints<'a> {
    pub(super) source: &'a [u8],
    pub(super) destination: &'a [u8],
    pub(super) source_port: u16,
    pub(super) destination_port: u16,
}

/// How far this segment's numbers are to be shifted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Shift {
    /// Subtracted from the sequence number.
    pub(super) sequence: u32,
    /// Subtracted from the acknowledgment number.
    pub(super) acknowledgment: u32,
    /// Subtracted from the edges of SACK blocks, which count as the acknowledgment does.
    pub(super) sack: u32,
}

impl Sequences {
    /// The shift for a segment with the ACK flag. The first one of a connection, and each with SYN, starts it
    /// anew and is shown unshifted.
    pub(super) fn shift(
        &mut self,
        endpoints: Endpoints<'_>,
        sequence: u32,
        acknowledgment: u32,
        syn: bool,
    ) -> Shift {
        if self.slots.is_empty() {
            self.slots = vec![Slot::default(); SETS * WAYS];
        }
        let reversed =
            (endpoints.source_port, endpoints.source) > (endpoints.destination_port, endpoints.destination);
        let key = key(endpoints, reversed);
        let (mine, peers) = if reversed { (1, 0) } else { (0, 1) };
        let first = set(&key) * WAYS;
        let ways = &mut self.slots[first..first + WAYS];
        let known = ways.iter().position(|slot| slot.key == key);
        if let Some(way) = known
            && !syn
        {
            let starts = ways[way].starts;
            return Shift { sequence: starts[mine], acknowledgment: starts[peers], sack: starts[peers] };
        }
        // The newest stands first.
        ways[..=known.unwrap_or(WAYS - 1)].rotate_right(1);
        ways[0].key = key;
        ways[0].starts[mine] = sequence;
        ways[0].starts[peers] = acknowledgment.wrapping_sub(1);
        Shift { sack: ways[0].starts[peers], ..Shift::default() }
    }
}

fn key(endpoints: Endpoints<'_>, reversed: bool) -> Key {
    let wide = |address: &[u8]| {
        let mut wide = [0; 16];
        let length = address.len().min(16);
        wide[..length].copy_from_slice(&address[..length]);
        wide
    };
    let (source, destination) = (wide(endpoints.source), wide(endpoints.destination));
    let (from, to) = (u32::from(endpoints.source_port), u32::from(endpoints.destination_port));
    if reversed {
        Key { low: destination, high: source, ports: to << 16 | from, used: true }
    } else {
        Key { low: source, high: destination, ports: from << 16 | to, used: true }
    }
}

fn set(key: &Key) -> usize {
    let word = |bytes: &[u8; 16], at: usize| {
        u64::from_le_bytes([0, 1, 2, 3, 4, 5, 6, 7].map(|index| bytes[at + index]))
    };
    let mut hash = u64::from(key.ports);
    for word in [word(&key.low, 0), word(&key.low, 8), word(&key.high, 0), word(&key.high, 8)] {
        hash = (hash.rotate_left(5) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
    (hash >> 40) as usize % SETS
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Endpoints<'_> = Endpoints {
        source: &[10, 0, 0, 1],
        destination: &[10, 0, 0, 2],
        source_port: 4000,
        destination_port: 80,
    };
    const B: Endpoints<'_> = Endpoints {
        source: &[10, 0, 0, 2],
        destination: &[10, 0, 0, 1],
        source_port: 80,
        destination_port: 4000,
    };

    #[test]
    fn both_directions_count_from_the_first_segment_with_an_acknowledgment() {
        let mut table = Sequences::default();
        let first = table.shift(B, 700, 101, true);
        assert_eq!((first.sequence, first.acknowledgment), (0, 0), "the first line is absolute");
        let second = table.shift(A, 101, 701, false);
        assert_eq!((second.sequence, second.acknowledgment), (100, 700));
        let third = table.shift(B, 701, 105, false);
        assert_eq!((third.sequence, third.acknowledgment, third.sack), (700, 100, 100));
    }

    #[test]
    fn a_new_handshake_starts_anew() {
        let mut table = Sequences::default();
        table.shift(B, 700, 101, true);
        table.shift(B, 9000, 5001, true);
        assert_eq!(table.shift(A, 5001, 9001, false).sequence, 5000);
    }

    #[test]
    fn the_table_is_bounded_and_forgets_the_oldest() {
        let mut table = Sequences::default();
        table.shift(A, 1, 1, true);
        for port in 0..u16::MAX {
            for network in 0..8 {
                let source = [10, 1, network, 1];
                table.shift(Endpoints { source: &source, source_port: port, ..A }, 1, 1, true);
            }
        }
        assert_eq!(table.slots.len(), SETS * WAYS);
        assert_eq!(table.shift(A, 7, 7, false).sequence, 0, "forgotten, so absolute again");
    }
}
