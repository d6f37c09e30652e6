//! The pcap format, written: nanoseconds (magic `a1b23c4d`) or microseconds (`a1b2c3d4`), little-endian.

use super::PcapPrecision;
use crate::frame::{Frame, Interface, LinkType, Timestamp};

pub(super) const FILE_HEADER: usize = 24;
const RECORD_HEADER: usize = 16;
/// What "no limit" is written as: the largest packet readers accept.
const NO_SNAP_LENGTH: u32 = 262_144;

/// The state of one pcap file.
pub(super) struct Pcap {
    precision: PcapPrecision,
    snap_length: u32,
    /// Of the file, once its header is written.
    link_type: Option<LinkType>,
}

impl Pcap {
    pub(super) fn new(precision: PcapPrecision, snap_length: u32) -> Self {
        Self { precision, snap_length, link_type: None }
    }

    /// Writes the file header, if it is not there yet.
    pub(super) fn begin(&mut self, interface: &Interface, out: &mut Vec<u8>) {
        if self.link_type.is_some() {
            return;
        }
        self.link_type = Some(interface.link_type);
        let magic: u32 = match self.precision {
            PcapPrecision::Nanos => 0xA1B2_3C4D,
            PcapPrecision::Micros => 0xA1B2_C3D4,
        };
        let snap_length = match super::smaller_limit(self.snap_length, interface.snap_length) {
            0 => NO_SNAP_LENGTH,
            snap_length => snap_length,
        };
        // Bit 26 says that the top four bits hold the length of the FCS in units of 16 bits.
        let fcs = interface.fcs_length.map_or(0, |bytes| (u32::from(bytes / 2) << 28) | (1 << 26));
        out.extend_from_slice(&magic.to_le_bytes());
        out.extend_from_slice(&2_u16.to_le_bytes());
        out.extend_from_slice(&4_u16.to_le_bytes());
        out.extend_from_slice(&[0; 8]);
        out.extend_from_slice(&snap_length.to_le_bytes());
        out.extend_from_slice(&(u32::from(interface.link_type.0) | fcs).to_le_bytes());
    }

    /// Writes a record. A frame without a time gets 1970-01-01.
    ///
    /// `Err` says why the format cannot hold it; `out` is then as before.
    pub(super) fn frame(
        &mut self,
        frame: &Frame<'_>,
        interfaces: &[Interface],
        out: &mut Vec<u8>,
    ) -> Result<(), String> {
        let record = &frame.record;
        let time = record.time.unwrap_or_default();
        let foreign = self.link_type.is_some_and(|link_type| link_type != record.link_type);
        let seconds = match u32::try_from(time.seconds) {
            Ok(seconds) if !foreign => seconds,
            _ => return Err(self.misfit(frame)),
        };
        if self.link_type.is_none() {
            let unknown = Interface { link_type: record.link_type, ..Interface::default() };
            self.begin(interfaces.get(record.interface.0 as usize).unwrap_or(&unknown), out);
        }
        let data = super::snap(frame.data, self.snap_length);
        let fields = [seconds, self.fraction(time), data.len() as u32, record.wire_length];
        out.reserve(RECORD_HEADER + data.len());
        out.extend_from_slice(fields.map(u32::to_le_bytes).as_flattened());
        out.extend_from_slice(data);
        Ok(())
    }

    /// Why the format cannot hold a frame.
    #[cold]
    fn misfit(&self, frame: &Frame<'_>) -> String {
        let record = &frame.record;
        match self.link_type.filter(|link_type| *link_type != record.link_type) {
            Some(link_type) => format!(
                "packet {} is {}, but the pcap format holds one link type a file and this one has {link_type}: \
                 write a .pcapng file",
                record.number, record.link_type
            ),
            None => format!(
                "packet {} has the time {}, which the pcap format cannot hold: write a .pcapng file",
                record.number,
                record.time.unwrap_or_default()
            ),
        }
    }

    fn fraction(&self, time: Timestamp) -> u32 {
        match self.precision {
            PcapPrecision::Nanos => time.nanos,
            PcapPrecision::Micros => time.nanos / 1000,
        }
    }
}

/// How much of `bytes` is whole, and how many packets that is. `start`: the file header comes first.
pub(super) fn whole(bytes: &[u8], start: bool) -> (usize, u64) {
    let mut at = if start { FILE_HEADER } else { 0 };
    if at > bytes.len() {
        return (0, 0);
    }
    let mut packets = 0;
    while let Some(&captured) = bytes.get(at + 8..).and_then(|rest| rest.first_chunk()) {
        let next = at + RECORD_HEADER + u32::from_le_bytes(captured) as usize;
        if next > bytes.len() {
            break;
        }
        (at, packets) = (next, packets + 1);
    }
    (at, packets)
}
