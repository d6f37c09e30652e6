//! File names with a place for what a packet is: `dir/{proto}-{port}.pcapng`.

use crate::batch::Summary;
use crate::demux;
use crate::frame::{Interface, InterfaceId};
use crate::parse::{self, IpLayer, Packet};
use crate::sink::{CaptureFormat, Error};
use std::fmt::Write;
use std::path::PathBuf;
use std::str::FromStr;

/// A file name with placeholders.
///
/// | placeholder | stands for |
/// | --- | --- |
/// | `{proto}` | what the outermost IP layer carries: `tcp`, `udp`..., a number; `arp` or `other` without one |
/// | `{port}` | the smaller of the two ports: the service's, nearly always, and the same in both directions |
/// | `{sport}`, `{dport}` | source and destination port |
/// | `{vlan}` | the outermost VLAN id |
/// | `{interface}` | the interface's name, or its number |
///
/// What a packet does not have is `none`.
///
/// ```
/// use wharf::sink::Template;
/// assert!("out/{proto}-{port}.pcapng".parse::<Template>().is_ok());
/// assert!("out/{colour}.pcapng".parse::<Template>().is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
    /// The places among the parts.
    places: Vec<Place>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Place(Place),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Protocol,
    Port,
    SourcePort,
    DestinationPort,
    Vlan,
    Interface,
}

const PLACES: [(&str, Place); 6] = [
    ("proto", Place::Protocol),
    ("port", Place::Port),
    ("sport", Place::SourcePort),
    ("dport", Place::DestinationPort),
    ("vlan", Place::Vlan),
    ("interface", Place::Interface),
];

impl FromStr for Template {
    type Err = Error;

    fn from_str(template: &str) -> Result<Self, Error> {
        let wrong = |reason: String| Error::Format { path: template.to_owned(), reason };
        if template.is_empty() {
            let reason = "an empty template names no file".to_owned();
            return Err(Error::Format { path: "''".to_owned(), reason });
        }
        let mut parts = Vec::new();
        let mut rest = template;
        while let Some((text, behind)) = rest.split_once('{') {
            let Some((name, behind)) = behind.split_once('}') else {
                return Err(wrong("a `{` without its `}`".to_owned()));
            };
            let Some((_, place)) = PLACES.iter().find(|(known, _)| *known == name) else {
                let known = PLACES.map(|(known, _)| format!("{{{known}}}")).join(" ");
                return Err(wrong(format!("no placeholder {{{name}}}: there are {known}")));
            };
            parts.extend([Part::Text(text.to_owned()), Part::Place(*place)]);
            rest = behind;
        }
        parts.push(Part::Text(rest.to_owned()));
        let place = |part: &Part| if let Part::Place(place) = part { Some(*place) } else { None };
        let places = parts.iter().filter_map(place).collect();
        Ok(Self { parts, places })
    }
}

/// What the placeholders of a template stand for in one packet; the others stay at their default, so that
/// packets of one file have equal keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    /// IP protocol number, or one of those beyond.
    protocol: u16,
    /// [`NONE`] without one, like the other numbers.
    vlan: u16,
    interface: u32,
    port: u32,
    source_port: u32,
    destination_port: u32,
}

/// Beyond all ports.
const NONE: u32 = u32::MAX;
/// Beyond all VLAN ids.
const NO_VLAN: u16 = u16::MAX;

/// Stand beside the 256 protocol numbers.
const OTHER: u16 = 0x100;
const ARP: u16 = 0x101;

impl Default for Key {
    fn default() -> Self {
        Self {
            protocol: OTHER,
            vlan: NO_VLAN,
            interface: 0,
            port: NONE,
            source_port: NONE,
            destination_port: NONE,
        }
    }
}

impl Key {
    /// Everything in it folded into one number, for a table; no two of a usual template's keys give the same.
    #[inline]
    pub(super) fn mixed(&self) -> u64 {
        let ports = (u64::from(self.source_port) << 32 | u64::from(self.destination_port)).rotate_left(20);
        let others =
            u64::from(self.protocol) << 17 | u64::from(self.vlan) << 27 | u64::from(self.interface) << 43;
        ports ^ others ^ u64::from(self.port)
    }
}

impl Template {
    /// The format that the name gives its files.
    ///
    /// ```
    /// use wharf::sink::{CaptureFormat, Template};
    /// let template: Template = "out/{port}.pcap.gz".parse()?;
    /// assert_eq!(template.format(), CaptureFormat::Pcap);
    /// # Ok::<(), wharf::sink::Error>(())
    /// ```
    #[must_use]
    pub fn format(&self) -> CaptureFormat {
        match self.parts.last() {
            Some(Part::Text(end)) => CaptureFormat::of(format!("name{end}")),
            _ => CaptureFormat::PcapNg,
        }
    }

    /// The key of a packet known in short; `None` where that does not tell.
    #[inline]
    pub(super) fn brief_key(&self, packet: Summary, interface: InterfaceId) -> Option<Key> {
        let (source, destination) = packet.ports()?;
        let mut key = Key::default();
        for place in &self.places {
            match place {
                Place::Protocol => key.protocol = packet.transport().protocol()?.into(),
                Place::Port => key.port = source.min(destination).into(),
                Place::SourcePort => key.source_port = source.into(),
                Place::DestinationPort => key.destination_port = destination.into(),
                Place::Vlan => return None,
                Place::Interface => key.interface = interface.0,
            }
        }
        Some(key)
    }

    /// The key of a packet.
    #[inline]
    pub(super) fn key(&self, packet: &Packet<'_>) -> Key {
        let mut key = Key::default();
        let layers = packet.layers();
        let ip = layers.outer.as_ref();
        let ports = ip.and_then(demux::ports);
        for place in &self.places {
            match place {
                Place::Protocol => key.protocol = protocol(ip, layers.ether_type),
                Place::Port => key.port = ip.and_then(demux::service_port).map_or(NONE, u32::from),
                Place::SourcePort => key.source_port = ports.map_or(NONE, |(source, _)| source.into()),
                Place::DestinationPort => key.destination_port = ports.map_or(NONE, |(_, port)| port.into()),
                Place::Vlan if layers.vlan_count > 0 => key.vlan = layers.vlan_tags[0] & 0x0FFF,
                Place::Vlan => {}
                Place::Interface => key.interface = packet.frame().record.interface.0,
            }
        }
        key
    }

    /// The file for packets with this key.
    pub(super) fn path(&self, key: &Key, interfaces: &[Interface]) -> PathBuf {
        let mut path = String::new();
        for part in &self.parts {
            // Writing to a string cannot fail.
            let _ = match part {
                Part::Text(text) => path.write_str(text),
                Part::Place(Place::Protocol) => write_protocol(&mut path, key.protocol),
                Part::Place(Place::Port) => write_number(&mut path, key.port),
                Part::Place(Place::SourcePort) => write_number(&mut path, key.source_port),
                Part::Place(Place::DestinationPort) => write_number(&mut path, key.destination_port),
                Part::Place(Place::Vlan) if key.vlan == NO_VLAN => write_number(&mut path, NONE),
                Part::Place(Place::Vlan) => write_number(&mut path, key.vlan.into()),
                Part::Place(Place::Interface) => {
                    let name = interfaces.get(key.interface as usize).and_then(|known| known.name.as_deref());
                    match name.map(sanitised).filter(|name| !name.is_empty()) {
                        Some(name) => path.write_str(&name),
                        None => write!(path, "{}", key.interface),
                    }
                }
            };
        }
        PathBuf::from(path)
    }
}

fn protocol(ip: Option<&IpLayer>, ether_type: u16) -> u16 {
    match ip {
        Some(ip) => ip.protocol.into(),
        None if ether_type == parse::ether_type::ARP => ARP,
        None => OTHER,
    }
}

/// Protocol names as in the registry of RFC 5237, lower case; a number where there is no common name.
fn write_protocol(out: &mut String, protocol: u16) -> std::fmt::Result {
    let Ok(number) = u8::try_from(protocol) else {
        return out.write_str(if protocol == ARP { "arp" } else { "other" });
    };
    match parse::protocol_name(number) {
        Some(name) => out.write_str(name),
        None => write!(out, "{number}"),
    }
}

fn write_number(out: &mut String, number: u32) -> std::fmt::Result {
    match number {
        NONE => out.write_str("none"),
        number => write!(out, "{number}"),
    }
}

/// A name from a capture file as one component of a path: letters, digits and `-_.`, not beginning with a dot.
fn sanitised(name: &str) -> String {
    let safe = |c: char| if c.is_alphanumeric() || "-_.".contains(c) { c } else { '_' };
    let name: String = name.trim_start_matches('.').chars().map(safe).take(64).collect();
    name
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::Findings;
    use crate::frame::{Batch, Frame, LinkType};
    use crate::parse::{Layers, Transport};
    use crate::verify::Verdicts;

    fn path(template: &str, layers: &Layers, interface: Option<&str>) -> String {
        let template: Template = template.parse().unwrap();
        let frame = Frame::new(LinkType::ETHERNET, &[]);
        let key = template.key(&Packet::new(frame, layers));
        // What is known in short says the same, if it says anything.
        let records = [frame.record];
        let batch = Batch::new(&[], &records, &[]);
        let findings = Findings::given(batch, &[*layers], &[Verdicts::default()]);
        let brief = template.brief_key(findings.summaries()[0], frame.record.interface);
        assert!(brief.is_none_or(|brief| brief == key));
        let interface = Interface { name: interface.map(str::to_owned), ..Interface::default() };
        template.path(&key, &[interface]).display().to_string()
    }

    fn udp(source_port: u16, destination_port: u16) -> Layers {
        let outer = IpLayer {
            protocol: 17,
            transport: Transport::Udp,
            source_port,
            destination_port,
            ..IpLayer::default()
        };
        Layers { outer: Some(outer), ..Layers::default() }
    }

    #[test]
    fn a_conversation_has_one_port_in_both_directions() {
        assert_eq!(path("{proto}-{port}", &udp(40000, 53), None), "udp-53");
        assert_eq!(path("{proto}-{port}", &udp(53, 40000), None), "udp-53");
        assert_eq!(path("{sport}/{dport}", &udp(53, 40000), None), "53/40000");
    }

    #[test]
    fn what_a_packet_does_not_have_is_none() {
        assert_eq!(path("{proto}-{port}-{vlan}.x", &Layers::default(), None), "other-none-none.x");
        let arp = Layers { ether_type: 0x0806, vlan_count: 2, vlan_tags: [0xE007, 9], ..Layers::default() };
        assert_eq!(path("{proto}-{port}-{vlan}.x", &arp, None), "arp-none-7.x");
        let odd = Layers { outer: Some(IpLayer { protocol: 99, ..IpLayer::default() }), ..Layers::default() };
        assert_eq!(path("{proto}", &odd, None), "99");
    }

    #[test]
    fn a_name_from_the_file_stays_one_component() {
        assert_eq!(
            path("d/{interface}.x", &Layers::default(), Some("../../etc/passwd")),
            "d/_.._etc_passwd.x"
        );
        assert_eq!(path("d/{interface}.x", &Layers::default(), Some("..")), "d/0.x");
        assert_eq!(path("d/{interface}.x", &Layers::default(), None), "d/0.x");
    }

    #[test]
    fn a_wrong_template_says_what_there_is() {
        let error = "a-{prot}".parse::<Template>().unwrap_err().to_string();
        assert!(error.contains("{proto}") && error.contains("{prot}"), "{error}");
        assert!("a-{proto".parse::<Template>().is_err());
    }
}
