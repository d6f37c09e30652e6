//! What made-up frames are like, as the command line says it.

use super::values::{self, Network};
use crate::args;
use clap::Args;
use std::ops::RangeInclusive;
use wharf::source::synthetic::{Addresses, Protocol, Sizes, Traffic};

#[derive(Args, Debug)]
#[command(next_help_heading = "Made-up frames")]
pub(super) struct FrameArgs {
    /// Another seed, other frames
    #[arg(long, value_name = "N", default_value_t = 1, conflicts_with = "read")]
    seed: u64,

    /// Bytes of a frame, without check sequence: 64, 64-1514, imix, or with weights 60:7,590:4,1514:1
    #[arg(short, long, value_name = "SIZES", default_value = "60", value_parser = values::sizes)]
    #[arg(conflicts_with = "read")]
    size: Sizes,

    /// Protocols, with weights: udp, tcp:9,udp:1 (also sctp, icmp) [default: tcp,udp]
    #[arg(short, long, value_name = "MIX", value_parser = values::protocols, conflicts_with = "read")]
    protocol: Option<std::vec::Vec<(Protocol, u32)>>,

    /// Ports that frames go to: 53,80,8000-8999
    #[arg(long, value_name = "PORTS", default_value = "9999", value_parser = values::ports)]
    #[arg(conflicts_with = "read")]
    port: std::vec::Vec<RangeInclusive<u16>>,

    /// Flows, each with addresses, ports, protocol and VLAN of its own
    #[arg(long, value_name = "N", default_value_t = 1_024, conflicts_with = "read")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=65_536))]
    flows: u32,

    /// Distinct frames, made before the first is sent and then sent again and again
    #[arg(long, value_name = "N", default_value_t = 4_096, conflicts_with = "read")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=4_194_304))]
    distinct: u32,

    /// Share of flows over IPv6
    #[arg(long, value_name = "PERCENT", default_value_t = 0, conflicts_with = "read")]
    #[arg(value_parser = clap::value_parser!(u8).range(0..=100))]
    ipv6: u8,

    /// VLAN tags, of one VLAN or a range of them: 100, 100-199
    #[arg(long, value_name = "ID", value_parser = values::vlans, conflicts_with = "read")]
    vlan: Option<RangeInclusive<u16>>,

    /// Share of flows with a VLAN tag [default: 100 with --vlan, else 0]
    #[arg(long, value_name = "PERCENT", conflicts_with = "read")]
    #[arg(value_parser = clap::value_parser!(u8).range(0..=100))]
    vlan_share: Option<u8>,

    /// Share of flows inside VXLAN
    #[arg(long, value_name = "PERCENT", default_value_t = 0, conflicts_with = "read")]
    #[arg(value_parser = clap::value_parser!(u8).range(0..=100))]
    tunnel: u8,

    /// Share of frames with a wrong transport checksum
    #[arg(long, value_name = "PERCENT", default_value_t = 0, conflicts_with = "read")]
    #[arg(value_parser = clap::value_parser!(u8).range(0..=100))]
    bad_checksums: u8,

    /// Ethernet address that frames come from [default: one for each flow]
    #[arg(long, value_name = "MAC", value_parser = values::mac, conflicts_with = "read")]
    source_mac: Option<[u8; 6]>,

    /// Ethernet address that frames go to [default: 02:00:00:02:00:01]
    #[arg(long, value_name = "MAC", value_parser = values::mac, conflicts_with = "read")]
    destination_mac: Option<[u8; 6]>,

    /// Address or network that packets come from, flows numbered through it; once for IPv4, once for IPv6
    ///
    /// [default: 10.1.0.0/16 and 2001:db8:0:1::/112]
    #[arg(long, value_name = "NET", value_parser = values::network, conflicts_with = "read")]
    source: Vec<Network>,

    /// Address or network that packets go to, likewise
    ///
    /// [default: 10.2.0.1 and 2001:db8:0:2::1]
    #[arg(long, value_name = "NET", value_parser = values::network, conflicts_with = "read")]
    destination: Vec<Network>,
}

impl FrameArgs {
    /// The description of frames without end.
    pub(super) fn traffic(&self) -> anyhow::Result<Traffic> {
        let plain = Addresses::default();
        let (clients_v4, clients_v6) =
            of_both(&self.source, "--source", (plain.clients_v4, plain.clients_v6))?;
        let (servers_v4, servers_v6) =
            of_both(&self.destination, "--destination", (plain.servers_v4, plain.servers_v6))?;
        let tagged = if self.vlan.is_some() { 100 } else { 0 };
        Ok(Traffic {
            seed: self.seed,
            frames: u64::MAX,
            distinct: self.distinct as usize,
            sizes: self.size.clone(),
            protocols: self.protocol.clone().unwrap_or_default(),
            ports: self.port.clone(),
            flows: self.flows,
            ipv6_percent: self.ipv6,
            vlan_percent: self.vlan_share.unwrap_or(tagged),
            vlans: self.vlan.clone().unwrap_or(1..=4_094),
            addresses: Addresses {
                source_mac: self.source_mac,
                destination_mac: self.destination_mac.unwrap_or(plain.destination_mac),
                clients_v4,
                servers_v4,
                clients_v6,
                servers_v6,
            },
            tunnel_percent: self.tunnel,
            bad_percent: self.bad_checksums,
            ..Traffic::default()
        })
    }
}

type Both = ((std::net::Ipv4Addr, u8), (std::net::Ipv6Addr, u8));

/// What was said of each IP version, once at most, or what it is without.
fn of_both(given: &[Network], option: &str, plain: Both) -> anyhow::Result<Both> {
    let (mut v4, mut v6) = (None, None);
    for network in given {
        let twice = match *network {
            Network::V4(address, prefix) => v4.replace((address, prefix)).is_some(),
            Network::V6(address, prefix) => v6.replace((address, prefix)).is_some(),
        };
        if twice {
            return Err(args::usage(&format!("{option}: given twice for one IP version")).into());
        }
    }
    Ok((v4.unwrap_or(plain.0), v6.unwrap_or(plain.1)))
}
