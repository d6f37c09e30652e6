//! A driver's own counters, by the names it gives them (`ETHTOOL_GSTATS`).

use super::Ethtool;
use super::room::{ROOM, Room};
use std::io;

/// `ETHTOOL_GSTRINGS`, `ETHTOOL_GSTATS`, `ETHTOOL_GSSET_INFO`.
const GET_STRINGS: u32 = 0x1b;
const GET_STATISTICS: u32 = 0x1d;
const GET_SET_INFO: u32 = 0x37;
/// Bytes of a name (`ETH_GSTRING_LEN`).
const NAME: usize = 32;

/// Which names (`enum ethtool_stringset`).
#[derive(Clone, Copy, Debug)]
#[repr(u32)]
pub(super) enum Strings {
    Statistics = 1,
    Features = 4,
}

impl Ethtool {
    /// The driver's counters in its order; what they mean it alone knows.
    ///
    /// # Errors
    /// As `ioctl(2)`: `EOPNOTSUPP` where the driver has none, `EFAULT` where they are too many.
    pub fn statistics(&self, name: &str) -> io::Result<Vec<(String, u64)>> {
        let names = self.strings(name, Strings::Statistics)?;
        let mut room = Room::new()?;
        room.put(0, GET_STATISTICS);
        room.put(1, names.len() as u32);
        self.ask(name, &mut room)?;
        // They may have become fewer or more: what has both a name and a number is told.
        let count = names.len().min(room.word(1) as usize);
        Ok(names
            .into_iter()
            .take(count)
            .enumerate()
            .map(|(at, name)| (name, room.long(2 + at * 2)))
            .collect())
    }

    /// The names of a set.
    pub(super) fn strings(&self, name: &str, set: Strings) -> io::Result<Vec<String>> {
        let mut room = Room::new()?;
        room.put(0, GET_SET_INFO);
        // Reserved word, then a mask of 64 bits; the counts follow it.
        let mask = (1_u64 << set as u32).to_ne_bytes();
        for (place, bytes) in (2..).zip(mask.as_chunks::<4>().0) {
            room.put(place, u32::from_ne_bytes(*bytes));
        }
        self.ask(name, &mut room)?;
        if room.long(2) == 0 {
            return Err(io::Error::from_raw_os_error(libc::EOPNOTSUPP));
        }
        let count = room.word(4) as usize;
        if count > (ROOM - 12) / NAME {
            return Err(io::Error::from_raw_os_error(libc::EFAULT));
        }
        let mut room = Room::new()?;
        room.put(0, GET_STRINGS);
        room.put(1, set as u32);
        room.put(2, count as u32);
        self.ask(name, &mut room)?;
        let count = count.min(room.word(2) as usize);
        Ok((0..count).map(|index| room.text(12 + index * NAME, NAME)).collect())
    }
}

/// Whether a driver's counter, by its name, tells of received frames lost: drivers name them as they like.
#[must_use]
pub fn tells_of_loss(name: &str) -> bool {
    const LOSS: [&str; 13] = [
        "drop",
        "miss",
        "fifo",
        "no_buf",
        "nobuf",
        "no_buff",
        "discard",
        "overrun",
        "over_err",
        "out_of_buf",
        "no_dma",
        "no_desc",
        "starv",
    ];
    let name = name.to_ascii_lowercase();
    let goes_out = name.split(|c: char| !c.is_ascii_alphabetic()).any(|word| word == "tx" || word == "xmit");
    !goes_out && LOSS.iter().any(|word| name.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_tell_of_loss() {
        for name in [
            "rx_dropped",
            "rx_missed_errors",
            "rx_no_buffer_count",
            "rx_queue_0_drops",
            "port.rx_discards",
            "rx_queue_3_xdp_drops",
            "rx0_out_of_buffer",
            "rx_no_dma_resources",
            "rx_fifo_errors",
            "RxDrops",
        ] {
            assert!(tells_of_loss(name), "{name}");
        }
        for name in
            ["rx_packets", "tx_dropped", "tx_queue_0_xdp_xmit_errors", "tx_xdp_tx_drops", "peer_ifindex"]
        {
            assert!(!tells_of_loss(name), "{name}");
        }
    }
}
