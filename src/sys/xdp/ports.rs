//! Which ports are wanted, as the program in the kernel looks them up.

use crate::sys::bpf::Map;
use std::io;
use std::ops::RangeInclusive;

/// Bytes of one protocol's table: a bit a port.
pub(super) const TABLE: usize = (1 << 16) / 8;
/// Protocols that have one: TCP, UDP (and UDP-Lite), SCTP.
const TABLES: usize = 3;

/// A protocol with a table of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum PortProtocol {
    /// RFC 9293.
    Tcp,
    /// RFC 768, and UDP-Lite (RFC 3828), which shares its port numbers.
    Udp,
    /// RFC 9260.
    Sctp,
}

/// The ports wanted of each protocol: 65,536 bits for each, 24 KiB in all, which the caches hold.
///
/// A packet is wanted when its source or its destination port is.
#[derive(Clone, PartialEq, Eq)]
pub struct PortTable(Box<[u8]>);

impl Default for PortTable {
    fn default() -> Self {
        Self(vec![0; TABLES * TABLE].into())
    }
}

impl std::fmt::Debug for PortTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PortTable({} ports)", self.len())
    }
}

impl PortTable {
    /// No port of any protocol.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// These are wanted too.
    ///
    /// ```
    /// use wharf::sys::xdp::ports::{PortProtocol, PortTable};
    ///
    /// let mut table = PortTable::new();
    /// table.add(PortProtocol::Udp, 53..=53);
    /// table.add(PortProtocol::Tcp, 8000..=8999);
    /// assert!(table.contains(PortProtocol::Tcp, 8080) && !table.contains(PortProtocol::Udp, 8080));
    /// assert_eq!(table.len(), 1001);
    /// ```
    pub fn add(&mut self, protocol: PortProtocol, ports: RangeInclusive<u16>) {
        for port in ports {
            let (byte, bit) = place(protocol, port);
            self.0[byte] |= bit;
        }
    }

    /// Whether that port is wanted.
    #[must_use]
    pub fn contains(&self, protocol: PortProtocol, port: u16) -> bool {
        let (byte, bit) = place(protocol, port);
        self.0[byte] & bit != 0
    }

    /// Ports wanted, of all protocols together.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.iter().map(|byte| byte.count_ones() as usize).sum()
    }

    /// No port at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Puts it into a map of the kernel's.
    ///
    /// # Errors
    /// As [`Map::array`] and [`Map::set`].
    pub fn upload(&self) -> io::Result<Map> {
        let map = Map::array("wharf_ports", (TABLES * TABLE) as u32, 1)?;
        map.set(0, &self.0)?;
        Ok(map)
    }
}

/// The byte of a port's bit, and the bit.
fn place(protocol: PortProtocol, port: u16) -> (usize, u8) {
    (protocol as usize * TABLE + usize::from(port / 8), 1 << (port % 8))
}
