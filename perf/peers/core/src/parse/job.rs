//! The job: parse, verify the IPv4 header and the TCP or UDP checksum, look the ports up, count for each output.

use wharf::batch::Findings;
use wharf::demux::{OutputId, PortMap, Rule};
use wharf::frame::Batch;
use wharf::verify::Verdict;

use super::frames::Frames;

/// Where a frame lies, as every contestant but ours is told it.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Place {
    pub offset: u32,
    pub length: u32,
}

/// The output of what no rule names.
pub const REST: usize = 16;

/// The port of a rule.
pub fn rule_port(output: usize) -> u16 {
    1_000 + 531 * output as u16
}

/// What a contestant counts; dpdk.c has the same.
#[derive(Clone, Debug, Default, PartialEq)]
#[repr(C)]
pub struct Tally {
    pub outputs: [u64; REST + 1],
    pub bad_ip: u64,
    pub bad_l4: u64,
}

impl Tally {
    pub fn times(&self, factor: u64) -> Self {
        let outputs = self.outputs.map(|count| count * factor);
        Self { outputs, bad_ip: self.bad_ip * factor, bad_l4: self.bad_l4 * factor }
    }
}

/// The rules as direct tables, one for TCP and one for UDP: the output plus 1, or 0.
pub struct Tables {
    tcp: Box<[u16; 1 << 16]>,
    udp: Box<[u16; 1 << 16]>,
}

impl Default for Tables {
    fn default() -> Self {
        let mut table = Box::new([0; 1 << 16]);
        for output in 0..REST {
            table[usize::from(rule_port(output))] = output as u16 + 1;
        }
        Self { tcp: table.clone(), udp: table }
    }
}

/// The destination counts before the source.
#[inline]
fn output(table: &[u16; 1 << 16], source: u16, destination: u16) -> usize {
    let output = match table[usize::from(destination)] {
        0 => table[usize::from(source)],
        output => output,
    };
    if output == 0 { REST } else { usize::from(output) - 1 }
}

/// Does the job over one copy of the frames.
pub trait Contestant {
    fn run(&mut self, frames: &Frames, slab: &[u8], tally: &mut Tally);
}

/// Frames in a batch of ours.
const BATCH: usize = 256;

/// Ours: the place to put another interface in.
pub struct Ours {
    map: PortMap,
    findings: Findings,
    outputs: Vec<OutputId>,
}

impl Ours {
    /// The 16 rules of the job, and as many others, which send all other ports to the rest, as make `rules`: of requests
    /// they change nothing.
    pub fn with_rules(rules: usize) -> Self {
        let of_job = (0..REST).map(|output| (rule_port(output), output));
        // They come last: a port is its first rule's.
        let others = (0..u16::MAX).map(|number| (number, REST));
        let rules = of_job.chain(others).take(rules).map(|(port, output)| {
            let rule: Rule = format!("any/{port}").parse().expect("a rule");
            (rule, OutputId(output as u16))
        });
        let rules: Vec<_> = rules.collect();
        let map = PortMap::new(rules.iter().map(|(rule, output)| (rule, *output)), OutputId(REST as u16));
        Self { map, findings: Findings::new(), outputs: Vec::with_capacity(BATCH) }
    }
}

impl Default for Ours {
    fn default() -> Self {
        Self::with_rules(REST)
    }
}

impl Contestant for Ours {
    fn run(&mut self, frames: &Frames, slab: &[u8], tally: &mut Tally) {
        // By turns, since two packets of one output in a row would have the second wait for the first.
        let mut counts = [[0; REST + 1]; 4];
        for (records, slab) in frames.batches(slab, BATCH) {
            let batch = Batch::new(slab, records, &[]);
            let batch = if frames.in_memory() { batch.cold() } else { batch };
            let Self { map, findings, outputs } = self;
            findings.read(batch);
            map.route(findings.summaries(), outputs);
            let (fours, rest) = outputs.as_chunks::<4>();
            for four in fours {
                for (counts, output) in counts.iter_mut().zip(four) {
                    counts[usize::from(output.0)] += 1;
                }
            }
            rest.iter().for_each(|output| counts[0][usize::from(output.0)] += 1);
            tally.bad_ip += findings.checksums().ip.of(BAD);
            tally.bad_l4 += findings.checksums().l4.of(BAD);
        }
        for (output, count) in tally.outputs.iter_mut().enumerate() {
            *count += counts.iter().map(|counts| counts[output]).sum::<u64>();
        }
    }
}

const BAD: Verdict = Verdict::Bad { found: 0, expected: 0 };

/// Frames one by one, for the crates.
struct EachFrame<F>(Tables, F);

/// What a crate finds out about a frame.
#[derive(Default)]
struct Found {
    bad_ip: bool,
    bad_l4: bool,
    /// UDP rather than TCP; source and destination port.
    ports: Option<(bool, u16, u16)>,
}

impl<F: Fn(&[u8]) -> Found> Contestant for EachFrame<F> {
    fn run(&mut self, frames: &Frames, slab: &[u8], tally: &mut Tally) {
        let Self(tables, find) = self;
        for place in &frames.places {
            let found = find(&slab[place.offset as usize..][..place.length as usize]);
            tally.bad_ip += u64::from(found.bad_ip);
            tally.bad_l4 += u64::from(found.bad_l4);
            let output = match found.ports {
                Some((false, source, destination)) => output(&tables.tcp, source, destination),
                Some((true, source, destination)) => output(&tables.udp, source, destination),
                None => REST,
            };
            tally.outputs[output] += 1;
        }
    }
}

fn by_etherparse(frame: &[u8]) -> Found {
    use etherparse::{NetSlice, SlicedPacket, TransportSlice};
    let Ok(packet) = SlicedPacket::from_ethernet(frame) else { return Found::default() };
    let Some(NetSlice::Ipv4(ip)) = &packet.net else { return Found::default() };
    let header = ip.header();
    let (source, destination) = (header.source(), header.destination());
    let sum = etherparse::checksum::Sum16BitWords::new().add_slice(header.slice()).ones_complement();
    let (bad_l4, ports) = match &packet.transport {
        Some(TransportSlice::Tcp(tcp)) => {
            let right = tcp.calc_checksum_ipv4(source, destination);
            (right != Ok(tcp.checksum()), Some((false, tcp.source_port(), tcp.destination_port())))
        }
        Some(TransportSlice::Udp(udp)) => {
            // Its slice cannot, its header can.
            let right = udp.to_header().calc_checksum_ipv4_raw(source, destination, udp.payload());
            let bad = udp.checksum() != 0 && right != Ok(udp.checksum());
            (bad, Some((true, udp.source_port(), udp.destination_port())))
        }
        _ => (false, None),
    };
    Found { bad_ip: sum != 0, bad_l4, ports }
}

fn by_smoltcp(frame: &[u8]) -> Found {
    use smoltcp::wire::{
        EthernetFrame, EthernetProtocol, IpAddress, IpProtocol, Ipv4Packet, TcpPacket, UdpPacket,
    };
    let Ok(frame) = EthernetFrame::new_checked(frame) else { return Found::default() };
    if frame.ethertype() != EthernetProtocol::Ipv4 {
        return Found::default();
    }
    let Ok(ip) = Ipv4Packet::new_checked(frame.payload()) else { return Found::default() };
    let (source, destination) = (IpAddress::Ipv4(ip.src_addr()), IpAddress::Ipv4(ip.dst_addr()));
    let bad_ip = !ip.verify_checksum();
    let (bad_l4, ports) = match ip.next_header() {
        IpProtocol::Tcp => match TcpPacket::new_checked(ip.payload()) {
            Ok(tcp) => {
                (!tcp.verify_checksum(&source, &destination), Some((false, tcp.src_port(), tcp.dst_port())))
            }
            Err(_) => (false, None),
        },
        IpProtocol::Udp => match UdpPacket::new_checked(ip.payload()) {
            // It takes a checksum of 0 for right.
            Ok(udp) => {
                (!udp.verify_checksum(&source, &destination), Some((true, udp.src_port(), udp.dst_port())))
            }
            Err(_) => (false, None),
        },
        _ => (false, None),
    };
    Found { bad_ip, bad_l4, ports }
}

fn by_pnet(frame: &[u8]) -> Found {
    use pnet_packet::Packet as _;
    use pnet_packet::ethernet::{EtherTypes, EthernetPacket};
    use pnet_packet::ip::IpNextHeaderProtocols;
    use pnet_packet::{ipv4, tcp, udp};
    let Some(frame) = EthernetPacket::new(frame) else { return Found::default() };
    if frame.get_ethertype() != EtherTypes::Ipv4 {
        return Found::default();
    }
    let Some(ip) = ipv4::Ipv4Packet::new(frame.payload()) else { return Found::default() };
    let (source, destination) = (ip.get_source(), ip.get_destination());
    let bad_ip = ipv4::checksum(&ip) != ip.get_checksum();
    let (bad_l4, ports) = match ip.get_next_level_protocol() {
        IpNextHeaderProtocols::Tcp => match tcp::TcpPacket::new(ip.payload()) {
            Some(tcp) => {
                let bad = tcp::ipv4_checksum(&tcp, &source, &destination) != tcp.get_checksum();
                (bad, Some((false, tcp.get_source(), tcp.get_destination())))
            }
            None => (false, None),
        },
        IpNextHeaderProtocols::Udp => match udp::UdpPacket::new(ip.payload()) {
            Some(udp) => {
                let right = udp::ipv4_checksum(&udp, &source, &destination);
                // It does not turn a sum of 0 into 0xffff as RFC 768 asks.
                let found = udp.get_checksum();
                let bad = found != 0 && right != found && !(right == 0 && found == 0xffff);
                (bad, Some((true, udp.get_source(), udp.get_destination())))
            }
            None => (false, None),
        },
        _ => (false, None),
    };
    Found { bad_ip, bad_l4, ports }
}

#[cfg(dpdk)]
mod dpdk {
    use super::{Contestant, Frames, Place, Tables, Tally};

    unsafe extern "C" {
        /// In dpdk.c.
        fn peer_dpdk_job(
            slab: *const u8,
            places: *const Place,
            count: usize,
            tcp_table: *const u16,
            udp_table: *const u16,
            tally: *mut Tally,
        );
    }

    pub struct Dpdk(pub Tables);

    impl Contestant for Dpdk {
        fn run(&mut self, frames: &Frames, slab: &[u8], tally: &mut Tally) {
            let Frames { places, .. } = frames;
            let Self(Tables { tcp, udp }) = self;
            // SAFETY: `places` lie within `slab`, the tables have an entry for each port and name no output beyond
            // the tally's, which is laid out as in C, and nothing is kept.
            unsafe {
                peer_dpdk_job(
                    slab.as_ptr(),
                    places.as_ptr(),
                    places.len(),
                    tcp.as_ptr(),
                    udp.as_ptr(),
                    tally,
                );
            }
        }
    }
}

/// A peer by name, and whether it is a crate.
pub type Peer = (&'static str, bool, fn() -> Box<dyn Contestant>);

pub const PEERS: &[Peer] = &[
    ("etherparse", true, || Box::new(EachFrame(Tables::default(), by_etherparse))),
    ("smoltcp", true, || Box::new(EachFrame(Tables::default(), by_smoltcp))),
    ("pnet_packet", true, || Box::new(EachFrame(Tables::default(), by_pnet))),
    #[cfg(dpdk)]
    ("DPDK rte_net + verify", false, || Box::new(dpdk::Dpdk(Tables::default()))),
];
