//! Primitives by the keyword they begin with.

use super::{Item, Parser, Qualifiers, Read, Sort};
use crate::filter::ast::{ByteOperator, Direction, Llc, Node, PfLog, Primitive, Protocol};
use crate::filter::error::{Fault, Span, closest};
use crate::filter::lexer::{Kind, shortened};
use crate::filter::words::{
    Keyword, LLC, PF_ACTIONS, PF_REASONS, WIRELESS_DIRECTIONS, WIRELESS_SUBTYPES, WIRELESS_TYPES, keyword,
    word_of,
};

/// The two bits of a frame's type, and all six of type and subtype.
const TYPE_MASK: u32 = 0x0c;
const SUBTYPE_MASK: u32 = 0xf0;

impl Parser<'_, '_> {
    /// A primitive, or an id with the qualifiers of the one before.
    pub(super) fn primitive(&mut self) -> Result<Read, Fault> {
        let span = self.token().span;
        let Some(word) = self.keyword() else { return self.bare_id() };
        match word {
            Keyword::Protocol(protocol) => {
                self.advance();
                self.with_protocol(protocol, span)
            }
            Keyword::Direction(_) | Keyword::Proto | Keyword::ProtoChain | Keyword::Gateway => {
                self.qualified(None, span)
            }
            _ if sort_of(word).is_some() => self.qualified(None, span),
            _ => {
                self.advance();
                self.other(word, span)
            }
        }
    }

    /// What may stand behind a protocol.
    fn with_protocol(&mut self, protocol: Protocol, span: Span) -> Result<Read, Fault> {
        match self.keyword() {
            Some(Keyword::Direction(_) | Keyword::Proto | Keyword::ProtoChain | Keyword::Gateway) => {
                self.qualified(Some(protocol), span)
            }
            Some(word) if sort_of(word).is_some() => self.qualified(Some(protocol), span),
            Some(Keyword::Broadcast) => {
                self.advance();
                self.done(Primitive::Broadcast(Some(protocol)), span)
            }
            Some(Keyword::Multicast) => {
                self.advance();
                self.done(Primitive::Multicast(Some(protocol)), span)
            }
            Some(word @ (Keyword::Type | Keyword::Subtype | Keyword::WirelessDirection)) => {
                self.advance();
                self.other(word, span)
            }
            _ if matches!(protocol, Protocol::Link | Protocol::Radio) => {
                let word = word_of(protocol);
                Err(self.expected(&format!("what of `{word}`: `host`, `proto`, `broadcast` or `[offset]`")))
            }
            _ => self.done(Primitive::Protocol(protocol), span),
        }
    }

    /// `src or dst port 80`: qualifiers and an id.
    fn qualified(&mut self, protocol: Option<Protocol>, span: Span) -> Result<Read, Fault> {
        let mut qualifiers = Qualifiers { protocol, ..Qualifiers::default() };
        if let Some(Keyword::Direction(direction)) = self.keyword() {
            self.advance();
            qualifiers.direction = self.second_direction(direction)?;
        }
        let directed = qualifiers.direction != Direction::Either;
        qualifiers.kind = match self.keyword() {
            Some(Keyword::Proto | Keyword::ProtoChain | Keyword::Gateway) if directed => {
                return Err(self.fault("has no direction").hint("leave out `src` or `dst`"));
            }
            Some(Keyword::Proto) => Sort::Proto,
            Some(Keyword::ProtoChain) => Sort::ProtoChain,
            Some(Keyword::Gateway) => Sort::Gateway,
            Some(word) => sort_of(word).unwrap_or_default(),
            None => Sort::Default,
        };
        if qualifiers.kind != Sort::Default {
            self.advance();
        }
        let mut read = self.id(qualifiers)?;
        self.carried = Some(qualifiers);
        read.span = span.until(read.span);
        Ok(read)
    }

    /// `src or dst`, `dst and src`.
    fn second_direction(&mut self, first: Direction) -> Result<Direction, Fault> {
        let both = match self.peek() {
            Kind::And => true,
            Kind::Or => false,
            _ => return Ok(first),
        };
        let other = match first {
            Direction::Source => Direction::Destination,
            Direction::Destination => Direction::Source,
            _ => return Ok(first),
        };
        self.advance();
        if self.keyword() != Some(Keyword::Direction(other)) {
            let word = if other == Direction::Source { "`src`" } else { "`dst`" };
            return Err(self.expected(word));
        }
        self.advance();
        Ok(if both { Direction::Both } else { Direction::Either })
    }

    /// Primitives that follow no pattern, behind their keyword.
    fn other(&mut self, word: Keyword, span: Span) -> Result<Read, Fault> {
        let primitive = match word {
            Keyword::Broadcast => Primitive::Broadcast(None),
            Keyword::Multicast => Primitive::Multicast(None),
            Keyword::Less => Primitive::Less(self.number("a length in bytes")?),
            Keyword::Greater => Primitive::Greater(self.number("a length in bytes")?),
            Keyword::Byte => self.byte()?,
            Keyword::Inbound => Primitive::Inbound,
            Keyword::Outbound => Primitive::Outbound,
            Keyword::InterfaceIndex => Primitive::InterfaceIndex(self.number("the index of an interface")?),
            Keyword::InterfaceName => {
                Primitive::PfLog(PfLog::Interface(self.short_name("an interface", 15)?))
            }
            Keyword::Ruleset => Primitive::PfLog(PfLog::Ruleset(self.short_name("a ruleset", 15)?)),
            Keyword::Rule => Primitive::PfLog(PfLog::Rule(self.number("the number of a rule")?)),
            Keyword::Subrule => Primitive::PfLog(PfLog::Subrule(self.number("the number of a rule")?)),
            Keyword::Reason => Primitive::PfLog(PfLog::Reason(self.named("a reason of pf", PF_REASONS)?)),
            Keyword::Action => Primitive::PfLog(PfLog::Action(self.named("an action of pf", PF_ACTIONS)?)),
            Keyword::Vlan => Primitive::Vlan(self.optional_number("a VLAN", 0xfff)?),
            Keyword::Mpls => Primitive::Mpls(self.optional_number("an MPLS label", 0xf_ffff)?),
            Keyword::PppoeDiscovery => Primitive::PppoeDiscovery,
            Keyword::PppoeSession => {
                Primitive::PppoeSession(self.optional_number("a PPPoE session", 0xffff)?)
            }
            Keyword::Geneve => Primitive::Geneve(self.optional_number("a Geneve network", 0xff_ffff)?),
            Keyword::Llc => Primitive::Llc(self.llc()?),
            Keyword::Type => self.wireless_type()?,
            Keyword::Subtype => self.wireless_subtype()?,
            Keyword::WirelessDirection => {
                Primitive::WirelessDirection(self.named("a direction", WIRELESS_DIRECTIONS)? & 3)
            }
            Keyword::Telephony => {
                let fault =
                    Fault::new(span, "ATM and SS7 primitives have no meaning on any capture wharf reads");
                return Err(fault);
            }
            _ => {
                self.at = self.at.saturating_sub(1);
                return Err(self.expected(
                    "a primitive, such as `tcp`, `host NAME`, `port NUMBER`, or a value to compare",
                ));
            }
        };
        self.done(primitive, span)
    }

    /// It ends before the token that is next.
    fn done(&mut self, primitive: Primitive, from: Span) -> Result<Read, Fault> {
        let span = from.until(self.tokens[self.at.saturating_sub(1)].span);
        self.carried = None;
        Ok(Read { item: Item::Test(Node::Primitive(primitive, span)), span, height: 1 })
    }

    fn number(&mut self, what: &str) -> Result<u32, Fault> {
        match self.peek() {
            Kind::Number(number) => {
                self.advance();
                Ok(number)
            }
            _ => Err(self.expected(what)),
        }
    }

    /// A number, also in parentheses, or nothing.
    fn optional_number(&mut self, what: &str, most: u32) -> Result<Option<u32>, Fault> {
        let mut open = 0;
        while self.eat(Kind::Open) {
            open += 1;
        }
        let span = self.token().span;
        let number = match self.peek() {
            Kind::Number(number) => {
                self.advance();
                Some(number)
            }
            _ if open > 0 => return Err(self.expected(what)),
            _ => None,
        };
        for _ in 0..open {
            if !self.eat(Kind::Close) {
                return Err(self.expected("`)`"));
            }
        }
        match number.filter(|number| *number > most) {
            Some(number) => Err(Fault::new(span, format!("{number} is beyond {what}: at most {most}"))),
            None => Ok(number),
        }
    }

    fn byte(&mut self) -> Result<Primitive, Fault> {
        let at = self.number("the offset of a byte")?;
        let operator = match self.peek() {
            Kind::Equal => ByteOperator::Equal,
            Kind::Less => ByteOperator::Below,
            Kind::Greater => ByteOperator::Above,
            Kind::Ampersand => ByteOperator::And,
            Kind::Bar => ByteOperator::Or,
            _ => return Err(self.expected("`=`, `<`, `>`, `&` or `|`")),
        };
        self.advance();
        Ok(Primitive::Byte { at, operator, value: self.number("the value of a byte")? })
    }

    /// A number or one of some names.
    fn named(&mut self, what: &str, names: &[(&str, u32)]) -> Result<u32, Fault> {
        match self.peek() {
            Kind::Number(number) => {
                self.advance();
                Ok(number)
            }
            Kind::Word(word) | Kind::Escaped(word) => match names.iter().find(|(name, _)| *name == word) {
                Some((_, number)) => {
                    self.advance();
                    Ok(*number)
                }
                None => Err(self.unknown(what, word, names.iter().map(|(name, _)| *name))),
            },
            _ => Err(self.expected(what)),
        }
    }

    /// None of the names that may stand here.
    fn unknown<'w>(&self, what: &str, word: &str, names: impl Iterator<Item = &'w str> + Clone) -> Fault {
        let fault = self.fault(format!("`{}` is not {what}", shortened(word)));
        match closest(word, names.clone()) {
            Some(name) => fault.suggest(Some(name)),
            None => fault.hint(names.collect::<Vec<_>>().join(", ")),
        }
    }

    fn short_name(&mut self, what: &str, most: usize) -> Result<String, Fault> {
        let (Kind::Word(name) | Kind::Escaped(name)) = self.peek() else {
            return Err(self.expected(&format!("the name of {what}")));
        };
        if name.len() > most {
            return Err(self.fault(format!("the name of {what} has at most {most} bytes")));
        }
        self.advance();
        Ok(name.to_owned())
    }

    fn llc(&mut self) -> Result<Llc, Fault> {
        let word = match self.peek() {
            Kind::Word(word) if word == "rnr" || keyword(word).is_none() => word,
            Kind::Escaped(word) => word,
            _ => return Ok(Llc::Any),
        };
        let Some((_, llc)) = LLC.iter().find(|(name, _)| *name == word) else {
            return Err(self.unknown("an LLC frame", word, LLC.iter().map(|(name, _)| *name)));
        };
        self.advance();
        Ok(*llc)
    }

    /// `type mgt subtype beacon`.
    fn wireless_type(&mut self) -> Result<Primitive, Fault> {
        let bits = self.named("a type of IEEE 802.11 frames", WIRELESS_TYPES)?;
        if self.keyword() != Some(Keyword::Subtype) {
            return Ok(Primitive::WirelessType { bits: bits & TYPE_MASK, mask: TYPE_MASK });
        }
        self.advance();
        let names: Vec<_> = WIRELESS_SUBTYPES
            .iter()
            .filter(|(_, of, _)| *of == bits)
            .map(|(name, _, bits)| (*name, *bits))
            .collect();
        let subtype = self.named("a subtype of such frames", &names)?;
        let mask = TYPE_MASK | SUBTYPE_MASK;
        Ok(Primitive::WirelessType { bits: (bits | subtype) & mask, mask })
    }

    fn wireless_subtype(&mut self) -> Result<Primitive, Fault> {
        let names: Vec<_> = WIRELESS_SUBTYPES.iter().map(|(name, of, bits)| (*name, of | bits)).collect();
        if let Kind::Number(_) = self.peek() {
            return Err(self.fault("a subtype by its number needs its type: `type mgt subtype 0x80`"));
        }
        let bits = self.named("a subtype of IEEE 802.11 frames", &names)?;
        Ok(Primitive::WirelessType { bits, mask: TYPE_MASK | SUBTYPE_MASK })
    }
}

/// What kind of id stands behind the word.
fn sort_of(word: Keyword) -> Option<Sort> {
    Some(match word {
        Keyword::Host => Sort::Host,
        Keyword::Net => Sort::Net,
        Keyword::Port => Sort::Port,
        Keyword::PortRange => Sort::PortRange,
        _ => return None,
    })
}
