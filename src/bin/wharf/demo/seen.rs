//! Packets kept after the run, to be told about.

use std::net::{IpAddr, SocketAddr};
use wharf::frame::{Frame, PacketOptions, Record, Timestamp};
use wharf::parse::{IpLayer, Layers, Packet, Transport};
use wharf::sink::{Deliveries, Delivery, Error, InterfaceStatistics, Sink};
use wharf::verify::Verdicts;

/// One captured packet, copied out of the ring.
pub(super) struct Seen {
    data: Vec<u8>,
    record: Record,
    layers: Layers,
    pub(super) verdicts: Verdicts,
}

impl Seen {
    pub(super) fn copy(delivery: &Delivery<'_>) -> Self {
        let frame = delivery.packet.frame();
        Self {
            data: frame.data.to_vec(),
            record: frame.record,
            layers: *delivery.packet.layers(),
            verdicts: delivery.verdicts,
        }
    }

    pub(super) fn packet(&self) -> Packet<'_> {
        let frame = Frame { data: &self.data, options: PacketOptions::default(), record: self.record };
        Packet::new(frame, &self.layers)
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.data
    }

    pub(super) fn ip(&self) -> Option<&IpLayer> {
        self.layers.outer.as_ref()
    }

    pub(super) fn time(&self) -> Timestamp {
        self.record.time.unwrap_or_default()
    }

    pub(super) fn transport(&self) -> Transport {
        self.ip().map_or(Transport::None, |ip| ip.transport)
    }

    /// Source and destination, with ports (0 where there are none).
    pub(super) fn ends(&self) -> Option<(SocketAddr, SocketAddr)> {
        let ip = self.ip()?;
        let (source, destination): (IpAddr, IpAddr) = self.packet().addresses(ip)?;
        Some((SocketAddr::new(source, ip.source_port), SocketAddr::new(destination, ip.destination_port)))
    }

    /// True when either port is `port`.
    pub(super) fn has_port(&self, port: u16) -> bool {
        self.ip().is_some_and(|ip| ip.source_port == port || ip.destination_port == port)
    }

    /// What the application wrote: the bytes after the last header.
    pub(super) fn message(&self) -> &[u8] {
        self.ip().map(|ip| self.packet().payload(ip)).unwrap_or_default()
    }
}

/// A sink that keeps every packet.
#[derive(Default)]
pub(super) struct Keep {
    pub(super) packets: Vec<Seen>,
}

impl Sink for Keep {
    fn write(&mut self, packets: Deliveries<'_>) -> Result<(), Error> {
        self.packets.extend(packets.iter().map(|delivery| Seen::copy(&delivery)));
        Ok(())
    }

    fn finish(&mut self, _: &[InterfaceStatistics]) -> Result<(), Error> {
        Ok(())
    }
}
