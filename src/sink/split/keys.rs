//! Which file a packet's key leads to.

use super::template::Key;
use std::collections::HashMap;

/// Keys at hand; a power of two. A mix of traffic has some hundred services, and a few of them have most packets.
const RECENT: usize = 1024;

/// Every key met so far with its file, the recent ones in a direct table.
///
/// Whoever sends packets chooses keys, so the map behind the table keeps its random hasher. A key that is thrown
/// out of its place by another costs one look into it.
pub(super) struct Keys {
    recent: Box<[Option<(Key, u32)>]>,
    all: HashMap<Key, u32>,
}

impl Keys {
    pub(super) fn new() -> Self {
        Self { recent: vec![None; RECENT].into(), all: HashMap::new() }
    }

    /// The file of a key that was [inserted](Self::insert).
    #[inline]
    pub(super) fn get(&mut self, key: &Key) -> Option<usize> {
        match &self.recent[place(key)] {
            Some((known, file)) if known == key => Some(*file as usize),
            _ => self.look_up(key),
        }
    }

    #[cold]
    fn look_up(&mut self, key: &Key) -> Option<usize> {
        let file = *self.all.get(key)?;
        self.recent[place(key)] = Some((*key, file));
        Some(file as usize)
    }

    pub(super) fn insert(&mut self, key: Key, file: usize) {
        // Files are counted by a process that may have some thousands of them.
        let file = u32::try_from(file).expect("less than 2^32 files");
        self.all.insert(key, file);
        self.recent[place(&key)] = Some((key, file));
    }
}

/// Where a key stands in the table: the upper bits of a product (Fibonacci hashing).
fn place(key: &Key) -> usize {
    let mixed = key.mixed().wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (mixed >> (u64::BITS - RECENT.ilog2())) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{Frame, LinkType};
    use crate::parse::{IpLayer, Layers, Packet, Transport};
    use crate::sink::Template;

    #[test]
    fn keys_that_share_a_place_keep_their_files() {
        let template: Template = "{sport}-{dport}".parse().unwrap();
        let key = |number: u32| {
            let (source_port, destination_port) = (number as u16, (number >> 4) as u16);
            let ip =
                IpLayer { transport: Transport::Tcp, source_port, destination_port, ..IpLayer::default() };
            let layers = Layers { outer: Some(ip), ..Layers::default() };
            template.key(&Packet::new(Frame::new(LinkType::ETHERNET, &[]), &layers))
        };
        let mut keys = Keys::new();
        for number in 0..5000 {
            assert_eq!(keys.get(&key(number)), None);
            keys.insert(key(number), number as usize);
        }
        let places: std::collections::HashSet<_> = (0..5000).map(|number| place(&key(number))).collect();
        assert!(places.len() > RECENT / 2, "{} of {RECENT} places are used", places.len());
        for number in (0..5000).chain((0..5000).rev()) {
            assert_eq!(keys.get(&key(number)), Some(number as usize));
        }
    }
}
