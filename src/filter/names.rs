//! Names of hosts, networks, stations, ports and protocols, and the system's files in which they stand.

use super::ast::Transport;
use std::collections::HashMap;
use std::fs;
use std::net::{IpAddr, ToSocketAddrs};

/// Ports known without a services file (their IANA assignments).
const PORTS: &str = "\
ftp-data 20/tcp\nftp 21/tcp\nssh 22/tcp\ntelnet 23/tcp\nsmtp 25/tcp\ndomain 53/tcp\ndomain 53/udp\nbootps 67/udp\n\
bootpc 68/udp\ntftp 69/udp\nhttp 80/tcp\nkerberos 88/tcp\nkerberos 88/udp\npop3 110/tcp\nsunrpc 111/tcp\nsunrpc 111/udp\n\
nntp 119/tcp\nntp 123/udp\nnetbios-ns 137/udp\nnetbios-dgm 138/udp\nnetbios-ssn 139/tcp\nimap2 143/tcp\nsnmp 161/udp\n\
snmp-trap 162/udp\nbgp 179/tcp\nldap 389/tcp\nldap 389/udp\nhttps 443/tcp\nhttps 443/udp\nmicrosoft-ds 445/tcp\n\
isakmp 500/udp\nsyslog 514/udp\nldaps 636/tcp\ndomain-s 853/tcp\nimaps 993/tcp\npop3s 995/tcp\nsocks 1080/tcp\n\
radius 1812/udp\nradius-acct 1813/udp\nnfs 2049/tcp\nnfs 2049/udp\nmysql 3306/tcp\nsip 5060/tcp\nsip 5060/udp\n\
mdns 5353/udp\npostgresql 5432/tcp\n";

/// Protocols known without a protocols file.
const PROTOCOLS: &str = "\
ip 0\nicmp 1\nigmp 2\nipencap 4\ntcp 6\negp 8\nigp 9\nudp 17\nipv6 41\nipv6-route 43\nipv6-frag 44\nrsvp 46\ngre 47\nesp 50\n\
ah 51\nipv6-icmp 58\nipv6-nonxt 59\nipv6-opts 60\neigrp 88\nospf 89\nipip 94\nencap 98\npim 103\nvrrp 112\nl2tp 115\n\
sctp 132\nudplite 136\n";

/// EtherTypes and, up to 1500, service access points of IEEE 802.2, as libpcap names them.
const ETHER_TYPES: [(&str, u32); 16] = [
    ("aarp", 0x80f3),
    ("arp", 0x0806),
    ("atalk", 0x809b),
    ("decnet", 0x6003),
    ("ip", 0x0800),
    ("ip6", 0x86dd),
    ("lat", 0x6004),
    ("loopback", 0x9000),
    ("mopdl", 0x6001),
    ("moprc", 0x6002),
    ("rarp", 0x8035),
    ("sca", 0x6007),
    ("iso", 0xfe),
    ("stp", 0x42),
    ("ipx", 0xe0),
    ("netbeui", 0xf0),
];

/// Where the names in an expression are looked up while it is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Lookup {
    /// Where the system does: in the files of `/etc`, and for hosts wherever it is set to ask, which may take a while.
    #[default]
    System,
    /// Nowhere: services and protocols are those that are built in; hosts, networks and stations have no names.
    BuiltIn,
}

/// What names mean. Files are read when the first name asks for them.
#[derive(Debug, Default)]
pub(super) struct Names {
    lookup: Lookup,
    services: Option<HashMap<(String, Transport), u16>>,
    protocols: Option<HashMap<String, u32>>,
}

/// The words of each line up to a `#`.
fn lines(text: &str) -> impl Iterator<Item = Vec<&str>> {
    text.lines().map(|line| line.split('#').next().unwrap_or_default().split_whitespace().collect())
}

impl Names {
    pub(super) fn by(lookup: Lookup) -> Self {
        Self { lookup, ..Self::default() }
    }

    /// `/etc/services` and the like, or what stands in for a file that is not there or not to be looked into.
    fn file(&self, path: &str, otherwise: &str) -> String {
        let text = match self.lookup {
            Lookup::System => fs::read(path).ok(),
            Lookup::BuiltIn => None,
        };
        text.map_or_else(|| otherwise.to_owned(), |bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Why one of such names is not known: by its file, if that was looked into.
    pub(super) fn unknown_to(&self, file: &str) -> String {
        match self.lookup {
            Lookup::System => format!("{file} does not know it"),
            Lookup::BuiltIn => format!("it is not built in, and {file} is not looked into"),
        }
    }

    /// The port of a service by its transport (services(5)).
    pub(super) fn port(&mut self, name: &str, transport: Transport) -> Option<u16> {
        if self.services.is_none() {
            self.services = Some(services(&self.file("/etc/services", PORTS)));
        }
        self.services.as_ref()?.get(&(name.to_owned(), transport)).copied()
    }

    /// All names of services, to suggest one.
    pub(super) fn services(&self) -> impl Iterator<Item = &str> {
        self.services.iter().flat_map(|services| services.keys().map(|(name, _)| name.as_str()))
    }

    /// The number of a protocol over IP (protocols(5)).
    pub(super) fn protocol(&mut self, name: &str) -> Option<u32> {
        if self.protocols.is_none() {
            let mut known = protocols(PROTOCOLS);
            known.extend(protocols(&self.file("/etc/protocols", "")));
            self.protocols = Some(known);
        }
        self.protocols.as_ref()?.get(name).copied()
    }

    /// The EtherType, or service access point, of a protocol over Ethernet.
    pub(super) fn ether_type(name: &str) -> Option<u32> {
        ETHER_TYPES.into_iter().find(|(known, _)| *known == name).map(|(_, number)| number)
    }

    /// A host's addresses, each once, in the resolver's order.
    pub(super) fn host(&self, name: &str) -> Result<Vec<IpAddr>, String> {
        if self.lookup == Lookup::BuiltIn {
            return Err("names of hosts are not looked up here: write its address".to_owned());
        }
        let found = (name, 0).to_socket_addrs().map_err(|error| error.to_string())?;
        let mut addresses = Vec::new();
        for address in found.map(|address| address.ip()) {
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        Ok(addresses)
    }

    /// A network's number (networks(5)), with trailing bytes that are 0 where they are not part of it.
    pub(super) fn network(&self, name: &str) -> Option<u32> {
        let text = self.file("/etc/networks", "");
        let number = lines(&text).find_map(|words| match words[..] {
            [first, number, ..] if first == name || words[2..].contains(&name) => Some(number.to_owned()),
            _ => None,
        })?;
        let mut address = 0_u32;
        for byte in number.split('.') {
            address = address.checked_shl(8)? | u32::from(byte.parse::<u8>().ok()?);
        }
        Some(address)
    }

    /// A station's address (ethers(5)).
    pub(super) fn station(&self, name: &str) -> Option<[u8; 6]> {
        station(&self.file("/etc/ethers", ""), name)
    }
}

fn services(text: &str) -> HashMap<(String, Transport), u16> {
    let mut services = HashMap::new();
    for words in lines(text) {
        let [name, port, aliases @ ..] = &words[..] else { continue };
        let Some((port, transport)) = port.split_once('/') else { continue };
        let transport = match transport {
            "tcp" => Transport::Tcp,
            "udp" => Transport::Udp,
            "sctp" => Transport::Sctp,
            _ => continue,
        };
        let Ok(port) = port.parse() else { continue };
        for name in [name].into_iter().chain(aliases) {
            services.entry(((*name).to_owned(), transport)).or_insert(port);
        }
    }
    services
}

fn protocols(text: &str) -> HashMap<String, u32> {
    let mut protocols = HashMap::new();
    for words in lines(text) {
        let [name, number, aliases @ ..] = &words[..] else { continue };
        let Ok(number) = number.parse() else { continue };
        for name in [name].into_iter().chain(aliases) {
            protocols.entry((*name).to_owned()).or_insert(number);
        }
    }
    protocols
}

fn station(text: &str, name: &str) -> Option<[u8; 6]> {
    lines(text).find_map(|words| match words[..] {
        [address, host, ..] if host == name => {
            let mut bytes = address.split(':').map(|byte| u8::from_str_radix(byte, 16));
            let mut station = [0; 6];
            for byte in &mut station {
                *byte = bytes.next()?.ok()?;
            }
            bytes.next().is_none().then_some(station)
        }
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_with_aliases_and_comments() {
        let services = services(
            "# x\nhttp 80/tcp www # web\nhttp 8/tcp\nbroken\ntoo 99999/tcp\nntp 123/udp\nx 1/dccp\n",
        );
        assert_eq!(services.get(&("www".to_owned(), Transport::Tcp)), Some(&80));
        assert_eq!(services.get(&("http".to_owned(), Transport::Tcp)), Some(&80));
        assert_eq!(services.get(&("ntp".to_owned(), Transport::Tcp)), None);
        assert_eq!(services.len(), 3);
    }

    #[test]
    fn what_is_built_in_can_be_read() {
        assert_eq!(services(PORTS).len(), PORTS.lines().count());
        assert_eq!(services(PORTS).get(&("https".to_owned(), Transport::Udp)), Some(&443));
        assert_eq!(protocols(PROTOCOLS).len(), PROTOCOLS.lines().count());
        assert_eq!(protocols("ip 0 IP\n").get("IP"), Some(&0));
    }

    #[test]
    fn stations() {
        let ethers = "08:00:20:0:61:ca pal # x\n08:00:20:00:61 short\n1:2:3:4:5:6:7 long\n";
        assert_eq!(station(ethers, "pal"), Some([8, 0, 0x20, 0, 0x61, 0xca]));
        assert_eq!((station(ethers, "short"), station(ethers, "long")), (None, None));
    }

    #[test]
    fn numbers_resolve_to_themselves() {
        assert_eq!(Names::default().host("192.0.2.1"), Ok(vec![IpAddr::from([192, 0, 2, 1])]));
    }
}
