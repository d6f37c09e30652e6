//! Ids: what a name or number means under its qualifiers.

use super::qualified::{carried, decnet, fits, host, number_primitive, ports, promoted};
use super::{Item, Parser, Qualifiers, Read, Sort};
use crate::filter::ast::{Address, Node, Primitive, Protocol, Transport};
use crate::filter::error::{Fault, Span, closest};
use crate::filter::lexer::{Kind, shortened};
use crate::filter::names::Names;
use crate::filter::words::{Keyword, keyword};
use std::net::{IpAddr, Ipv6Addr};

impl Parser<'_, '_> {
    /// An id that stands alone.
    pub(super) fn bare_id(&mut self) -> Result<Read, Fault> {
        let is_id = matches!(
            self.peek(),
            Kind::Word(_) | Kind::Escaped(_) | Kind::Dotted(_) | Kind::Ether(_) | Kind::Ip6(_)
        );
        match self.carried {
            Some(qualifiers) if is_id => self.id(qualifiers),
            _ => {
                let fault = self.expected(
                    "a primitive, such as `tcp`, `host NAME`, `port NUMBER`, or a value to compare",
                );
                Err(match self.peek() {
                    Kind::Dotted(_) | Kind::Ip6(_) => {
                        fault.hint("an address needs `host` or `net` before it")
                    }
                    Kind::Ether(_) => fault.hint("an Ethernet address needs `ether host` before it"),
                    Kind::Word(word) if fault.hint.is_none() && word.contains('-') => {
                        fault.hint("a `-` that subtracts needs blanks around it")
                    }
                    _ => fault,
                })
            }
        }
    }

    /// The id behind its qualifiers: also `not` an id, or several in parentheses.
    pub(super) fn id(&mut self, qualifiers: Qualifiers) -> Result<Read, Fault> {
        let span = self.token().span;
        match self.peek() {
            Kind::Not => {
                self.advance();
                let read = self.deeper(|parser| parser.id(qualifiers))?;
                let (span, height) = (span.until(read.span), self.checked(read.height + 1)?);
                let (node, _) = self.test(read)?;
                return Ok(Read { item: Item::Test(Node::Not(Box::new(node))), span, height });
            }
            Kind::Open => {
                self.carried = Some(qualifiers);
                let read = self.parentheses()?;
                let (span, height) = (read.span, read.height);
                let (node, _) = self.test(read)?;
                return Ok(Read { item: Item::Test(node), span, height });
            }
            _ => {}
        }
        let primitive = self.single(qualifiers)?;
        let span = span.until(self.tokens[self.at.saturating_sub(1)].span);
        Ok(Read { item: Item::Test(Node::Primitive(primitive, span)), span, height: 1 })
    }

    fn single(&mut self, qualifiers: Qualifiers) -> Result<Primitive, Fault> {
        let token = self.token();
        let span = token.span;
        match token.kind {
            Kind::Number(number) => {
                self.advance();
                if qualifiers.kind == Sort::Net && self.peek() == Kind::Slash {
                    let (address, _) = promoted(number);
                    return self.network(qualifiers, address, span);
                }
                number_primitive(number, qualifiers, span)
            }
            Kind::Dotted(text) if qualifiers.protocol == Some(Protocol::Decnet) => {
                self.advance();
                decnet(text, qualifiers, span)
            }
            Kind::Dotted(text) => {
                let (number, bits) = dotted(text, span)?;
                self.advance();
                if self.peek() == Kind::Slash || self.keyword() == Some(Keyword::Mask) {
                    return self.network(qualifiers, shifted(number, 32 - bits), span);
                }
                match qualifiers.kind {
                    Sort::Default | Sort::Host | Sort::Net => {
                        let (address, mask) = (shifted(number, 32 - bits), shifted(u32::MAX, 32 - bits));
                        host(qualifiers, vec![Address::V4 { address, mask }], None, span)
                    }
                    // As libpcap: a dotted number is a number too.
                    _ => number_primitive(number, qualifiers, span),
                }
            }
            Kind::Ip6(address) => {
                self.advance();
                self.ip6(qualifiers, address, span)
            }
            Kind::Ether(address) => {
                self.advance();
                match qualifiers {
                    Qualifiers {
                        protocol: Some(Protocol::Link),
                        kind: Sort::Default | Sort::Host,
                        direction,
                    } => Ok(Primitive::EtherHost { direction, address, name: None }),
                    _ => Err(Fault::new(
                        span,
                        "an Ethernet address stands behind `ether host`, `ether src` or `ether dst`",
                    )),
                }
            }
            Kind::Arcnet(address) => {
                self.advance();
                match qualifiers {
                    Qualifiers {
                        protocol: Some(Protocol::Link),
                        kind: Sort::Default | Sort::Host,
                        direction,
                    } => Ok(Primitive::ArcnetHost { direction, address }),
                    _ => Err(Fault::new(
                        span,
                        "an ARCNET address stands behind `link host`, `link src` or `link dst`",
                    )),
                }
            }
            Kind::Word(word) if keyword(word).is_none() => self.name(word, qualifiers, span),
            Kind::Escaped(word) => self.name(word, qualifiers, span),
            Kind::Word(word) => {
                let fault = self.expected(what(qualifiers.kind));
                let is_name = matches!(
                    qualifiers.kind,
                    Sort::Proto | Sort::ProtoChain | Sort::Default | Sort::Host | Sort::Net
                );
                Err(if is_name {
                    fault.hint(format!("`{word}` is a keyword: as a name it is written `\\{word}`"))
                } else {
                    fault
                })
            }
            _ => Err(self.expected(what(qualifiers.kind))),
        }
    }

    /// A number that stands alone, behind the qualifiers of the primitive before.
    pub(super) fn number_id(&self, number: u32, qualifiers: Qualifiers, span: Span) -> Result<Node, Fault> {
        number_primitive(number, qualifiers, span).map(|primitive| Node::Primitive(primitive, span))
    }

    /// `/length` or `mask 255.255.0.0` behind the address of a network.
    fn network(&mut self, qualifiers: Qualifiers, address: u32, span: Span) -> Result<Primitive, Fault> {
        if qualifiers.kind != Sort::Net {
            return Err(self.fault("only a network has a mask").hint("write `net` before the address"));
        }
        let mask = if self.eat(Kind::Slash) {
            let length = match self.peek() {
                Kind::Number(length @ 0..=32) => length,
                _ => return Err(self.expected("the length of an IPv4 network: 0 to 32")),
            };
            shifted(u32::MAX, 32 - length)
        } else {
            self.advance();
            match self.peek() {
                Kind::Dotted(text) => {
                    let (mask, bits) = dotted(text, self.token().span)?;
                    shifted(mask, 32 - bits)
                }
                _ => return Err(self.expected("a mask, such as 255.255.0.0")),
            }
        };
        let whole = span.until(self.advance().span);
        if address & !mask != 0 {
            let fault = Fault::new(whole, "the address has bits set that are not the network's");
            return Err(
                fault.hint(format!("the network's address is {}", std::net::Ipv4Addr::from(address & mask)))
            );
        }
        host(qualifiers, vec![Address::V4 { address, mask }], None, whole)
    }

    fn ip6(&mut self, qualifiers: Qualifiers, address: Ipv6Addr, span: Span) -> Result<Primitive, Fault> {
        let mut prefix = 128;
        if self.eat(Kind::Slash) {
            prefix = match self.peek() {
                Kind::Number(length @ 0..=128) => length as u8,
                _ => return Err(self.expected("the length of an IPv6 network: 0 to 128")),
            };
            if qualifiers.kind != Sort::Net && prefix != 128 {
                return Err(self.fault("only a network has a mask").hint("write `net` before the address"));
            }
            self.advance();
        }
        let mask = if prefix == 0 { 0 } else { u128::MAX << (128 - prefix) };
        if address.to_bits() & !mask != 0 {
            let fault = Fault::new(span, "the address has bits set that are not the network's");
            return Err(fault.hint(format!(
                "the network's address is {}",
                Ipv6Addr::from_bits(address.to_bits() & mask)
            )));
        }
        match qualifiers.kind {
            Sort::Default | Sort::Host | Sort::Net => {
                host(qualifiers, vec![Address::V6 { address, prefix }], None, span)
            }
            kind => Err(Fault::new(span, format!("expected {}, found an IPv6 address", what(kind)))),
        }
    }

    /// A name, looked up.
    fn name(&mut self, name: &str, qualifiers: Qualifiers, span: Span) -> Result<Primitive, Fault> {
        self.advance();
        let Qualifiers { protocol, direction, kind } = qualifiers;
        match kind {
            Sort::Default | Sort::Host if protocol == Some(Protocol::Link) => {
                match self.names.station(name) {
                    Some(address) => {
                        Ok(Primitive::EtherHost { direction, address, name: Some(name.to_owned()) })
                    }
                    None => Err(unknown(span, "station", name, &self.names.unknown_to("/etc/ethers"))),
                }
            }
            Sort::Default | Sort::Host if protocol == Some(Protocol::Decnet) => {
                Err(Fault::new(span, "DECnet hosts have no names here: write area.node, such as 1.5"))
            }
            Sort::Default | Sort::Host => {
                let found = self.names.host(name).map_err(|error| unknown(span, "host", name, &error))?;
                let found = found.into_iter().map(|address| match address {
                    IpAddr::V4(address) => Address::V4 { address: address.to_bits(), mask: u32::MAX },
                    IpAddr::V6(address) => Address::V6 { address, prefix: 128 },
                });
                let addresses: Vec<_> = found.filter(|address| fits(protocol, *address)).collect();
                if addresses.is_empty() {
                    return Err(unknown(span, "host", name, "it has no address of that family"));
                }
                host(qualifiers, addresses, Some(name), span)
            }
            Sort::Net => {
                let Some(number) = self.names.network(name).filter(|number| *number != 0) else {
                    return Err(unknown(span, "network", name, &self.names.unknown_to("/etc/networks")));
                };
                let (address, mask) = promoted(number);
                host(qualifiers, vec![Address::V4 { address, mask }], Some(name), span)
            }
            Sort::Port => {
                let (port, transport) = self.port(name, protocol, span)?;
                ports(qualifiers, (port, port), transport, span)
            }
            Sort::PortRange => {
                let (low, high) = name.split_once('-').unwrap_or((name, name));
                let (low, of_low) = self.port(low, protocol, span)?;
                let (high, of_high) = self.port(high, protocol, span)?;
                let transport = if of_low == of_high { of_low } else { None };
                ports(qualifiers, (low.min(high), low.max(high)), transport, span)
            }
            Sort::Proto | Sort::ProtoChain => {
                let number = self.protocol_number(name, protocol, span)?;
                carried(qualifiers, number, span)
            }
            Sort::Gateway => {
                if !matches!(protocol, None | Some(Protocol::Ip | Protocol::Arp | Protocol::Rarp)) {
                    return Err(Fault::new(span, "only `ip`, `arp` or `rarp` may stand before `gateway`"));
                }
                let Some(address) = self.names.station(name) else {
                    return Err(unknown(span, "station", name, &self.names.unknown_to("/etc/ethers")));
                };
                let host = self.name(name, Qualifiers { protocol, kind: Sort::Host, ..qualifiers }, span)?;
                let Primitive::Host { addresses, .. } = host else { return Ok(host) };
                Ok(Primitive::Gateway { address, addresses, name: name.to_owned() })
            }
        }
    }

    /// A port by its number or its service's name, with the transport it is known for if that is one only.
    fn port(
        &mut self,
        name: &str,
        protocol: Option<Protocol>,
        span: Span,
    ) -> Result<(u16, Option<Transport>), Fault> {
        if name.bytes().all(|byte| byte.is_ascii_digit()) && !name.is_empty() {
            return match name.parse() {
                Ok(port) => Ok((port, None)),
                Err(_) => Err(Fault::new(span, format!("`{}` is no port: at most 65535", shortened(name)))),
            };
        }
        let (tcp, udp) = (self.names.port(name, Transport::Tcp), self.names.port(name, Transport::Udp));
        let found = match (protocol, tcp, udp) {
            (Some(Protocol::Tcp), Some(port), _) => (port, None),
            (Some(Protocol::Udp), _, Some(port)) => (port, None),
            (Some(Protocol::Sctp), ..) if self.names.port(name, Transport::Sctp).is_some() => {
                (self.names.port(name, Transport::Sctp).unwrap_or_default(), None)
            }
            (_, Some(tcp), Some(udp)) if tcp == udp => (tcp, None),
            (_, Some(tcp), _) => (tcp, Some(Transport::Tcp)),
            (_, None, Some(udp)) => (udp, Some(Transport::Udp)),
            (_, None, None) => {
                let fault = unknown(span, "port", name, &self.names.unknown_to("/etc/services"));
                let suggested = closest(name, self.names.services()).map(str::to_owned);
                return Err(if suggested.is_some() { fault.suggest(suggested.as_deref()) } else { fault });
            }
        };
        Ok(found)
    }

    fn protocol_number(&mut self, name: &str, within: Option<Protocol>, span: Span) -> Result<u32, Fault> {
        let number = match within {
            None | Some(Protocol::Ip | Protocol::Ip6) => self.names.protocol(name),
            Some(Protocol::Link) => Names::ether_type(name),
            Some(Protocol::Iso) => match name {
                "clnp" => Some(0x81),
                "esis" => Some(0x82),
                "isis" => Some(0x83),
                _ => None,
            },
            _ => None,
        };
        number.ok_or_else(|| {
            let (where_from, looked_up) = match within {
                Some(Protocol::Link) => ("not among the names of EtherTypes".to_owned(), false),
                Some(Protocol::Iso) => ("one of clnp, esis, isis".to_owned(), false),
                _ => (self.names.unknown_to("/etc/protocols"), true),
            };
            let fault = Fault::new(span, format!("unknown protocol `{}`", shortened(name))).hint(where_from);
            if looked_up { fault.looked_up() } else { fault }
        })
    }
}

/// What is expected behind the qualifiers.
fn what(kind: Sort) -> &'static str {
    match kind {
        Sort::Default | Sort::Host => "a host's name or address",
        Sort::Net => "a network's address or name",
        Sort::Port => "a port's number or name",
        Sort::PortRange => "two ports, such as 6000-6008",
        Sort::Proto | Sort::ProtoChain => "a protocol's number or name",
        Sort::Gateway => "a host's name",
    }
}

/// A name that was looked up.
fn unknown(span: Span, what: &str, name: &str, why: &str) -> Fault {
    Fault::new(span, format!("unknown {what} `{}`", shortened(name))).hint(why).looked_up()
}

/// Shifted up by so many bits, all of them if need be.
fn shifted(number: u32, bits: u32) -> u32 {
    number.checked_shl(bits).unwrap_or(0)
}

/// The first bytes of an address, and how many bits they are.
fn dotted(text: &str, span: Span) -> Result<(u32, u32), Fault> {
    let (mut number, mut bits) = (0_u32, 0);
    for byte in text.split('.') {
        let byte =
            byte.bytes().all(|digit| digit.is_ascii_digit()).then(|| byte.parse::<u8>().ok()).flatten();
        let byte = byte.ok_or_else(|| Fault::new(span, format!("`{text}` is no IPv4 address")))?;
        (number, bits) = (number << 8 | u32::from(byte), bits + 8);
    }
    Ok((number, bits))
}
