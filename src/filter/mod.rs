//! Which frames are wanted, in the language of pcap-filter(7): read once, and run over frames here or in the kernel.
//!
//! ```
//! use wharf::filter::Filter;
//! use wharf::frame::{Frame, LinkType};
//!
//! let filter: Filter = "udp dst port 53 and not net 10.0.0.0/8".parse()?;
//! let datagram = b"\x45\0\0\x1d\0\0\0\0\x40\x11\0\0\x7f\0\0\x01\x7f\0\0\x02\x30\x39\0\x35\0\x09\0\0!";
//! assert!(filter.on(LinkType::RAW)?.matches(&Frame::new(LinkType::RAW, datagram)));
//! assert_eq!(filter.explain(), "\
//! all of:
//!   UDP to port 53
//!   not IP, ARP or RARP from or to 10.0.0.0/8
//! ");
//! # Ok::<(), wharf::filter::Error>(())
//! ```
//!
//! # One expression, one meaning
//!
//! ```text
//! text -> lexer -> grammar -> tree -> lower (for a link type) -> ir -> evaluator, over frames
//!                                                                  \-> classic BPF, in the kernel
//! ```
//!
//! The meaning is that of libpcap 1.10, primitive by primitive: `tcp[13]` is asked only of first fragments of TCP over IPv4,
//! `port` of TCP, UDP and SCTP over both, `host` of ARP too, `and` and `or` are equal in precedence, `^` and `%` take
//! whatever stands to their right. A byte beyond what was captured rejects the packet, whatever `not` stands before it. Where
//! libpcap does what nobody can have meant, this does what its manual says:
//!
//! - **Layers.** Behind `vlan`, `mpls`, `pppoes` and `geneve` it is what is *inside* that is asked, in what is joined to
//!   them by `and`. The alternatives of an `or` all begin where it does, and behind a `not` nothing has moved: `vlan 5 or
//!   vlan 6` is either of them, and `vlan 5 or arp` finds plain ARP. Libpcap looks for whatever is *written* behind the first
//!   `vlan` behind its tag.
//! - **Tags in the kernel.** The kernel keeps the outermost VLAN tag beside the frame. The program for it asks there, so that
//!   a live capture and the file written of it answer alike: `ip` alone is untagged IPv4. With libpcap live it is also tagged
//!   IPv4, where the device or the kernel has taken the tag out.
//! - **Guards.** Each header asked for by bytes must be there, also on the right of an operator: libpcap forgets it in
//!   `5 + tcp[0] = 7`.
//! - **Chains.** `protochain` follows eight extension headers, and knows where it is behind an authentication header.
//! - **`byte 3 & 5`** looks at byte 3. **`link host $12`** is station 0x12.
//! - **Families.** In `NULL`, `LOOP`, `ENC` and `PFLOG` headers those of all systems are known, in both byte orders where
//!   the writer's is not.
//! - **Frame relay.** IP begins behind its header.
//! - **`inbound`** and `outbound` know what a file says of its frames (pcapng's flags); those of which it says nothing were
//!   not sent.
//!
//! Of what libpcap takes, wharf refuses the primitives of ATM and SS7; and `ip broadcast` where the network's mask is not known
//! ([`Filter::in_network`]), as it is not of a file. Beyond it, it takes `gateway`, `net 10/8`, and expressions in parentheses behind
//! a qualifier.
//!
//! # Where libpcap answers otherwise
//!
#![doc = include_str!("differences.md")]
//!
//! # Names
//!
//! Names are looked up when an expression is read: of services, protocols, networks and stations in the files of `/etc`
//! (common services and protocols are known without), of hosts by the system's resolver; or nowhere ([`Lookup`]).

mod ast;
pub mod bpf;
mod error;
pub mod evaluate;
mod explain;
mod grammar;
mod graph;
pub mod ir;
mod lexer;
mod lower;
mod names;
mod ports;
mod walk;
mod words;

pub use error::Error;
use error::{Fault, Span};
pub use names::Lookup;

use crate::frame::{Batch, Frame, LinkType};
use crate::parse::Packet;
use ast::Node;
use bpf::{CompileError, Program};
use evaluate::Evaluator;
use ir::Test;
use lower::Site;
use names::Names;
use std::fmt;
use std::net::Ipv4Addr;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::sync::{Arc, PoisonError, RwLock};

/// An expression that has been read; see the [module](self). Cheap to clone.
///
/// ```
/// use wharf::filter::Filter;
/// use wharf::frame::{Frame, LinkType};
/// use wharf::parse::{Packet, parse};
///
/// let frame = Frame::new(LinkType::RAW, b"\x45\0\0\x14\0\0\0\0\x40\x06\0\0\x7f\0\0\x01\x7f\0\0\x02");
/// let layers = parse(&frame);
/// assert!("tcp and host 127.0.0.2".parse::<Filter>()?.matches(&Packet::new(frame, &layers)));
/// # Ok::<(), wharf::filter::Error>(())
/// ```
#[derive(Clone)]
pub struct Filter(Arc<Inner>);

struct Inner {
    text: String,
    meaning: Meaning,
    /// Of the IPv4 network, if it is known.
    mask: Option<Ipv4Addr>,
    /// By link type, once it has been asked for.
    known: RwLock<Vec<(LinkType, Result<Matcher, Error>)>>,
}

#[derive(Clone)]
enum Meaning {
    /// None of an empty expression, which every packet matches.
    Expression(Option<Node>),
    Program(Program),
}

/// A [`Filter`] made ready for frames of one link type. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Matcher(Way);

#[derive(Clone, Debug)]
enum Way {
    Ready(Arc<Evaluator>),
    /// Too large to be made ready.
    Tree(Arc<Test>),
    /// Somebody else's.
    Program(Program),
}

impl Matcher {
    fn new(test: Test, link_type: LinkType) -> Self {
        Self(match Evaluator::new(&test, link_type) {
            Ok(evaluator) => Way::Ready(Arc::new(evaluator)),
            Err(_) => Way::Tree(Arc::new(test)),
        })
    }

    /// Whether the frame is wanted.
    #[inline]
    #[must_use]
    pub fn matches(&self, frame: &Frame<'_>) -> bool {
        match &self.0 {
            Way::Ready(evaluator) => evaluator.matches_frame(frame),
            Way::Tree(test) => walk::holds(test, frame),
            Way::Program(program) => program.wants(frame),
        }
    }

    /// Adds to `wanted` the indices of those frames of a batch that are, in order. All of them must be of the link type.
    ///
    /// # Panics
    /// When the batch has more than 65,536 frames, whose indices are no `u16`.
    pub fn choose(&self, batch: Batch<'_>, wanted: &mut Vec<u16>) {
        assert!(
            batch.len() <= usize::from(u16::MAX) + 1,
            "{} frames are more than u16 can tell apart",
            batch.len()
        );
        match &self.0 {
            Way::Ready(evaluator) => evaluator.choose(batch, wanted),
            Way::Tree(_) | Way::Program(_) => {
                let matches = |index: &usize| self.matches(&batch.frame(*index));
                wanted.extend((0..batch.len()).filter(matches).map(|index| index as u16));
            }
        }
    }
}

/// Why a filter has no program for the kernel.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProgramError {
    /// It has no meaning on the link type.
    #[error(transparent)]
    Meaning(#[from] Error),
    /// It does not fit.
    #[error(transparent)]
    Compile(#[from] CompileError),
}

impl FromStr for Filter {
    type Err = Error;

    /// Reads an expression. Names are looked up where the system does ([`Lookup::System`]).
    fn from_str(text: &str) -> Result<Self, Error> {
        Self::read(text, Lookup::System)
    }
}

/// A program in place of an expression, such as `tcpdump -ddd` prints, asked as the kernel would. It is for frames of the link type that
/// it was written for, and nothing here knows which: it is asked of all.
///
/// ```
/// use wharf::filter::{Filter, bpf::Program};
/// use wharf::frame::{Frame, LinkType};
///
/// // tcpdump -ddd arp
/// let filter = Filter::from(Program::read("4\n40 0 0 12\n21 0 1 2054\n6 0 0 262144\n6 0 0 0\n")?);
/// let mut bytes = [0; 60];
/// bytes[12..14].copy_from_slice(&[8, 6]);
/// assert!(filter.on(LinkType::ETHERNET).unwrap().matches(&Frame::new(LinkType::ETHERNET, &bytes)));
/// assert_eq!(filter.text(), "4,40 0 0 12,21 0 1 2054,6 0 0 262144,6 0 0 0");
/// # Ok::<(), wharf::filter::bpf::ReadError>(())
/// ```
impl From<Program> for Filter {
    fn from(program: Program) -> Self {
        let text = program.show(bpf::Form::Decimal).trim_end().replace('\n', ",");
        Self::of(text, Meaning::Program(program))
    }
}

impl Filter {
    /// Reads an expression, with names looked up as it is said. Nothing is looked up later.
    ///
    /// ```
    /// use wharf::filter::{Filter, Lookup};
    ///
    /// assert!(Filter::read("tcp port https and host 192.0.2.1", Lookup::BuiltIn).is_ok());
    /// let error = Filter::read("host localhost", Lookup::BuiltIn).unwrap_err();
    /// assert!(error.to_string().contains("names of hosts are not looked up here"));
    /// ```
    ///
    /// # Errors
    /// What is wrong in the expression, and where.
    pub fn read(text: &str, lookup: Lookup) -> Result<Self, Error> {
        let node = grammar::parse(text, &mut Names::by(lookup)).map_err(|fault| fault.within(text))?;
        Ok(Self::of(text.to_owned(), Meaning::Expression(node)))
    }

    fn of(text: String, meaning: Meaning) -> Self {
        Self(Arc::new(Inner { text, meaning, mask: None, known: RwLock::default() }))
    }

    /// The same for packets of an IPv4 network with that mask: then `ip broadcast` has a meaning.
    ///
    /// ```
    /// use std::net::Ipv4Addr;
    /// use wharf::filter::Filter;
    /// use wharf::frame::{Frame, LinkType};
    ///
    /// let filter: Filter = "ip broadcast".parse()?;
    /// assert!(filter.on(LinkType::RAW).is_err());
    /// let filter = filter.in_network(Ipv4Addr::new(255, 255, 255, 0)).on(LinkType::RAW)?;
    /// let to = |last| [0x45, 0, 0, 20, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, last];
    /// assert!(filter.matches(&Frame::new(LinkType::RAW, &to(255))));
    /// assert!(!filter.matches(&Frame::new(LinkType::RAW, &to(254))));
    /// # Ok::<(), wharf::filter::Error>(())
    /// ```
    #[must_use]
    pub fn in_network(&self, mask: Ipv4Addr) -> Self {
        let Inner { text, meaning, .. } = &*self.0;
        let (text, meaning) = (text.clone(), meaning.clone());
        Self(Arc::new(Inner { text, meaning, mask: Some(mask), known: RwLock::default() }))
    }

    /// The expression as it was written; of a [program](bpf::Program) its numbers, in one line.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0.text
    }

    /// The program that it was made of, if it was.
    #[must_use]
    pub fn given_program(&self) -> Option<&Program> {
        match &self.0.meaning {
            Meaning::Program(program) => Some(program),
            Meaning::Expression(_) => None,
        }
    }

    /// In words, a line for each primitive, indented below what joins them.
    #[must_use]
    pub fn explain(&self) -> String {
        match &self.0.meaning {
            Meaning::Expression(node) => explain::explain(node.as_ref()),
            Meaning::Program(program) => {
                format!("what a program of {} instructions wants\n", program.instructions().len())
            }
        }
    }

    /// IP protocols and ports of which every packet that matches has one at either end, so that a look-up of ports may come
    /// first; `None` where others may match, too.
    #[must_use]
    pub fn ports_at_most(&self) -> Option<Vec<(u8, RangeInclusive<u16>)>> {
        match &self.0.meaning {
            Meaning::Expression(Some(node)) => ports::at_most(node),
            Meaning::Expression(None) | Meaning::Program(_) => None,
        }
    }

    /// What it asks of frames of that link type.
    ///
    /// # Errors
    /// [`Error`] where it has no meaning there, such as `ether host` where there are no Ethernet addresses.
    pub fn on(&self, link_type: LinkType) -> Result<Matcher, Error> {
        let known = self.0.known.read().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, known)) = known.iter().find(|(known, _)| *known == link_type) {
            return known.clone();
        }
        drop(known);
        let matcher = match &self.0.meaning {
            Meaning::Program(program) => Ok(Matcher(Way::Program(program.clone()))),
            Meaning::Expression(_) => self.test(link_type).map(|test| Matcher::new(test, link_type)),
        };
        self.0.known.write().unwrap_or_else(PoisonError::into_inner).push((link_type, matcher.clone()));
        matcher
    }

    /// Why it has had no meaning on any of the link types that it was asked for; `None` where it had on one, or was not asked.
    ///
    /// ```
    /// use wharf::filter::Filter;
    /// use wharf::frame::LinkType;
    ///
    /// let filter: Filter = "ether host 00:11:22:33:44:55".parse()?;
    /// assert!(filter.fault().is_none() && filter.on(LinkType::RAW).is_err());
    /// assert!(filter.fault().is_some() && filter.on(LinkType::ETHERNET).is_ok());
    /// assert!(filter.fault().is_none());
    /// # Ok::<(), wharf::filter::Error>(())
    /// ```
    #[must_use]
    pub fn fault(&self) -> Option<Error> {
        let known = self.0.known.read().unwrap_or_else(PoisonError::into_inner);
        let mut faults = known.iter().map(|(_, known)| known.as_ref().err());
        let first = faults.next()??;
        faults.all(|fault| fault.is_some()).then(|| first.clone())
    }

    /// Whether the packet is wanted. Where the expression has no meaning on its link type, it is not.
    #[must_use]
    pub fn matches(&self, packet: &Packet<'_>) -> bool {
        let frame = packet.frame();
        self.on(frame.record.link_type).is_ok_and(|matcher| matcher.matches(frame))
    }

    /// What it asks of a frame's bytes, as frames are in files and in this program.
    ///
    /// # Errors
    /// As [`Filter::on`]; and of a filter that was made of a program, which has no other form.
    pub fn test(&self, link_type: LinkType) -> Result<Test, Error> {
        self.lower(link_type, Site::Frames)
    }

    /// What it asks of a frame before a packet socket, where the kernel keeps the outermost VLAN tag beside the frame.
    ///
    /// # Errors
    /// As [`Filter::test`]; and where it asks for what the kernel would answer otherwise, which is then for whoever gets the whole
    /// frame: bytes of that tag by their place, shifts by a number that depends on the packet, offsets that may be below 0.
    pub fn socket_test(&self, link_type: LinkType) -> Result<Test, Error> {
        self.lower(link_type, Site::Socket)
    }

    /// The program for frames as they are in files; it gives `snap_length` (not 0) for those that are wanted. One that it was made
    /// of comes back as it is.
    ///
    /// # Errors
    /// [`ProgramError`].
    pub fn program(&self, link_type: LinkType, snap_length: u32) -> Result<Program, ProgramError> {
        if let Some(program) = self.given_program() {
            return Ok(program.clone());
        }
        Ok(Program::compile(&self.test(link_type)?, snap_length)?)
    }

    /// The program for a packet socket ([`Filter::socket_test`]); likewise.
    ///
    /// # Errors
    /// [`ProgramError`].
    pub fn socket_program(&self, link_type: LinkType, snap_length: u32) -> Result<Program, ProgramError> {
        if let Some(program) = self.given_program() {
            return Ok(program.clone());
        }
        Ok(Program::compile(&self.socket_test(link_type)?, snap_length)?)
    }

    fn lower(&self, link_type: LinkType, site: Site) -> Result<Test, Error> {
        let lowered = match &self.0.meaning {
            Meaning::Expression(None) => Ok(Test::True),
            Meaning::Expression(Some(node)) => {
                lower::lower(node, link_type, site, self.0.mask.map(Ipv4Addr::to_bits))
            }
            Meaning::Program(_) => Err(Fault::new(Span::default(), "a program is no expression")),
        };
        lowered.map_err(|fault| fault.within(&self.0.text))
    }
}

/// As it was written.
impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.text)
    }
}

impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Filter").field(&self.0.text).finish()
    }
}

/// Written alike.
impl PartialEq for Filter {
    fn eq(&self, other: &Self) -> bool {
        self.0.text == other.0.text
    }
}

impl Eq for Filter {}
