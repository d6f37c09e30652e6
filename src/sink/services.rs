//! Names of ports, from the system's services file.

use crate::parse::Transport;
use std::collections::HashMap;

/// Port names by port and transport.
#[derive(Debug, Default)]
pub(super) struct Services {
    names: HashMap<(u16, Transport), Box<str>>,
}

impl Services {
    /// The names in `/etc/services` (services(5)); without that file, none.
    pub(super) fn system() -> Self {
        std::fs::read("/etc/services")
            .map_or_else(|_| Self::default(), |bytes| Self::parse(&String::from_utf8_lossy(&bytes)))
    }

    /// Each line: name, port/protocol, aliases, `#` and a comment. The first name of a port counts.
    fn parse(text: &str) -> Self {
        let mut names = HashMap::new();
        for line in text.lines() {
            let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
            let (Some(name), Some(port)) = (words.next(), words.next()) else { continue };
            let Some((port, transport)) = port.split_once('/') else { continue };
            let (Ok(port), Some(transport)) = (port.parse(), transport_named(transport)) else { continue };
            names.entry((port, transport)).or_insert_with(|| name.into());
        }
        Self { names }
    }

    /// The name of a port; UDP-Lite shares UDP's (RFC 3828 section 6).
    pub(super) fn name(&self, port: u16, transport: Transport) -> Option<&str> {
        let transport = if transport == Transport::UdpLite { Transport::Udp } else { transport };
        self.names.get(&(port, transport)).map(AsRef::as_ref)
    }
}

fn transport_named(name: &str) -> Option<Transport> {
    Some(match name {
        "tcp" => Transport::Tcp,
        "udp" => Transport::Udp,
        "sctp" => Transport::Sctp,
        "dccp" => Transport::Dccp,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_services_file() {
        let services = Services::parse(
            "# comment\n\
             ssh\t\t22/tcp\t\t# secure\n\
             domain 53/tcp\ndomain 53/udp name-server\n\
             broken\nodd 99999/tcp\nagain 22/tcp\n",
        );
        assert_eq!(services.name(22, Transport::Tcp), Some("ssh"));
        assert_eq!(services.name(53, Transport::Udp), Some("domain"));
        assert_eq!(services.name(53, Transport::UdpLite), Some("domain"));
        assert_eq!(services.name(22, Transport::Udp), None);
    }
}
