//! Names of ports, from the system's services file.

use std::collections::HashMap;

/// Port names by protocol.
#[derive(Debug, Default)]
pub(super) struct Services {
    names: HashMap<(u16, Protocol), Box<str>>,
}

/// The protocols whose ports have names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Protocol {
    Tcp,
    Udp,
    Sctp,
    Dccp,
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
            let Some((port, protocol)) = port.split_once('/') else { continue };
            let (Ok(port), Some(protocol)) = (port.parse(), protocol_named(protocol)) else { continue };
            names.entry((port, protocol)).or_insert_with(|| name.into());
        }
        Self { names }
    }

    pub(super) fn name(&self, port: u16, protocol: Protocol) -> Option<&str> {
        self.names.get(&(port, protocol)).map(AsRef::as_ref)
    }
}

fn protocol_named(name: &str) -> Option<Protocol> {
    Some(match name {
        "tcp" => Protocol::Tcp,
        "udp" => Protocol::Udp,
        "sctp" => Protocol::Sctp,
        "dccp" => Protocol::Dccp,
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
        assert_eq!(services.name(22, Protocol::Tcp), Some("ssh"));
        assert_eq!(services.name(53, Protocol::Udp), Some("domain"));
        assert_eq!(services.name(22, Protocol::Udp), None);
    }
}
