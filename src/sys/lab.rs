//! Two hosts joined by a wire: a network namespace each, a veth pair between them.

use super::link::{self, Mac};
use super::namespace::Namespace;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

/// Longest wait for an interface that was brought up.
const CARRIER: Duration = Duration::from_secs(5);

/// One of the two hosts.
#[derive(Debug)]
pub struct Host {
    /// Its network.
    pub namespace: Namespace,
    /// Its interface on the wire; `lo` is up too.
    pub interface: &'static str,
    /// Ethernet address of that interface.
    pub mac: Mac,
    /// Its IPv4 address, in a /24.
    pub v4: Ipv4Addr,
    /// Its IPv6 address, in a /64; assigned by [`Lab::with_ipv6`] only.
    pub v6: Ipv6Addr,
}

/// A client and a server with a wire between them, up and addressed.
///
/// Nothing moves on the wire by itself but ARP: there are no link-local addresses and no duplicate
/// address detection. Everything goes away with the value and the threads inside.
///
/// ```no_run
/// wharf::sys::namespace::enter_private()?; // first thing in main
/// let lab = wharf::sys::Lab::new()?;
/// let listener = lab.server.namespace.run(|| std::net::TcpListener::bind((lab.server.v4, 80)))?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Lab {
    /// Interface `client`, 10.77.0.1, fd77::1.
    pub client: Host,
    /// Interface `server`, 10.77.0.2, fd77::2.
    pub server: Host,
}

impl Lab {
    /// Builds it, with IPv4 alone.
    ///
    /// # Errors
    /// `PermissionDenied` unless root or after [`super::namespace::enter_private`]; the kernel's refusal.
    pub fn new() -> io::Result<Self> {
        Self::of_queues(1)
    }

    /// The same with so many queues (at least 1) at each end of the wire, over which the sender's kernel spreads flows.
    ///
    /// # Errors
    /// As [`Lab::new`].
    pub fn of_queues(queues: u32) -> io::Result<Self> {
        let client = Host::new("client", 1)?;
        let server = Host::new("server", 2)?;
        client.namespace.run(|| {
            let ends = [&client, &server].map(|host| (host.interface, host.mac));
            link::add_veth(ends[0], ends[1], &server.namespace, queues)
        })?;
        for host in [&client, &server] {
            host.namespace.run(|| {
                link::set_up("lo", true)?;
                // A kernel without IPv6 has no link-local addresses to keep away.
                let _ = link::set_no_link_local(host.interface);
                link::add_address(host.interface, IpAddr::V4(host.v4), 24)?;
                link::set_up(host.interface, true)
            })?;
        }
        for host in [&client, &server] {
            host.namespace.run(|| link::wait_until_operational(host.interface, CARRIER))?;
        }
        Ok(Self { client, server })
    }

    /// Adds the IPv6 addresses; the kernel then reports its multicast groups (MLD) on the wire once or twice.
    ///
    /// # Errors
    /// The kernel's refusal, such as on a host without IPv6.
    pub fn with_ipv6(self) -> io::Result<Self> {
        for host in [&self.client, &self.server] {
            host.namespace.run(|| link::add_address(host.interface, IpAddr::V6(host.v6), 64))?;
        }
        Ok(self)
    }

    /// Tells each host the other's Ethernet address for IPv4, so that there is no ARP either.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn with_static_neighbours(self) -> io::Result<Self> {
        for (host, other) in [(&self.client, &self.server), (&self.server, &self.client)] {
            host.namespace.run(|| link::add_neighbour(host.interface, IpAddr::V4(other.v4), other.mac))?;
        }
        Ok(self)
    }
}

impl Host {
    fn new(interface: &'static str, number: u8) -> io::Result<Self> {
        Ok(Self {
            namespace: Namespace::new()?,
            interface,
            mac: [2, 0, 0, 0, 0, number],
            v4: Ipv4Addr::new(10, 77, 0, number),
            v6: Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, u16::from(number)),
        })
    }
}
