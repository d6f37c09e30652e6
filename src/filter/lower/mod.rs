//! From what an expression says to what is asked of a frame's bytes, as libpcap understands it.
//!
//! A primitive like `vlan` does not only ask: what is asked *behind* it is asked of what the tag is in front of. Each
//! node is therefore lowered at a [`Place`], and comes back as [`Way`]s: tests, and the place behind each. An `and` goes on
//! from every one of them; the alternatives of an `or` all begin where it began; and behind a `not` nothing has moved. That
//! differs from libpcap, in which whatever is *written* behind the first `vlan` is looked up behind a tag, so that
//! `vlan 5 or vlan 6` finds 6 only as the inner of two tags.

mod chain;
mod layers;
mod link;
mod network;
mod other;
mod place;
mod start;
mod station;
mod transport;
mod value;

use super::ast::{Node, Primitive};
use super::error::{Fault, Span};
use super::ir::{Local, Test, Value};
use crate::frame::LinkType;
use place::Place;
use std::cell::{Cell, RefCell};

/// Where the tests will run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Site {
    /// Over frames as they are in a file, or restored to that.
    Frames,
    /// In the kernel, before a packet socket, where the outermost VLAN tag lies beside the frame.
    Socket,
}

/// Ways of an expression that lead to different places; no sensible one has more.
const MOST_WAYS: usize = 16;
/// Tests that may be copied, in all, because ways part behind them.
const MOST_COPIED: usize = 1 << 16;

/// A test, and where to go on if it holds.
#[derive(Clone, Debug)]
struct Way {
    test: Test,
    place: Place,
}

impl Way {
    /// The same behind what must hold before; a long row of tests is not copied for each that comes to it.
    fn after(self, before: Test) -> Self {
        let test = match (before, self.test) {
            (Test::All(mut tests), Test::All(more)) => {
                tests.extend(more);
                Test::All(tests)
            }
            (Test::All(mut tests), test) if !matches!(test, Test::True | Test::False) => {
                tests.push(test);
                Test::All(tests)
            }
            (before, test) => all([before, test]),
        };
        Self { test, ..self }
    }
}

/// What lowering a whole expression keeps.
struct Lowering {
    link_type: LinkType,
    site: Site,
    /// Of the IPv4 network, for those of its addresses that are for all.
    mask: Option<u32>,
    /// Computed once, before anything is asked; and whether it is used.
    prelude: RefCell<Vec<(Local, Value, bool)>>,
    next_local: Cell<u16>,
    copied: Cell<usize>,
}

type Result<T> = std::result::Result<T, Fault>;

/// What the expression asks of frames of a link type, in a network of that mask if it is known.
pub(super) fn lower(node: &Node, link_type: LinkType, site: Site, mask: Option<u32>) -> Result<Test> {
    let lowering = Lowering {
        link_type,
        site,
        mask,
        prelude: RefCell::default(),
        next_local: Cell::new(0),
        copied: Cell::new(0),
    };
    let (start, condition) = lowering.start();
    let mut tests = Vec::new();
    for Way { test, place } in start {
        let ways = lowering.node(node, &place)?;
        tests.push(all([test, any(ways.into_iter().map(|way| way.test))]));
    }
    let test = all([condition, any(tests)]);
    let prelude = lowering.prelude.into_inner().into_iter().rev().filter(|(.., used)| *used);
    Ok(prelude.fold(test, |body, (local, value, _)| Test::Let { local, value, body: Box::new(body) }))
}

impl Lowering {
    fn node(&self, node: &Node, place: &Place) -> Result<Vec<Way>> {
        match node {
            Node::All(nodes) => {
                let mut ways = vec![Way { test: Test::True, place: place.clone() }];
                for node in nodes {
                    let mut next = Vec::new();
                    for Way { test, place } in ways {
                        let mut behind = self.node(node, &place)?;
                        let last = behind.pop();
                        self.count_copies(&test, behind.len(), node)?;
                        next.extend(behind.into_iter().map(|way| way.after(test.clone())));
                        next.extend(last.map(|way| way.after(test)));
                    }
                    ways = joined(next, || span_of(node))?;
                }
                Ok(ways)
            }
            Node::Any(nodes) => {
                let mut ways = Vec::new();
                for node in nodes {
                    ways.extend(self.node(node, place)?);
                }
                joined(ways, || span_of(&nodes[0]))
            }
            Node::Not(node) => {
                let ways = self.node(node, place)?;
                Ok(stay(place, not(any(ways.into_iter().map(|way| way.test)))))
            }
            Node::Compare { left, relation, right, span } => {
                Ok(stay(place, self.comparison(place, left, *relation, right, *span)?))
            }
            Node::Primitive(primitive, span) => self.primitive(primitive, place, *span),
        }
    }

    fn primitive(&self, primitive: &Primitive, place: &Place, span: Span) -> Result<Vec<Way>> {
        let test = match primitive {
            Primitive::Vlan(number) => return self.vlan(place, *number, span),
            Primitive::Mpls(label) => return self.mpls(place, *label, span),
            Primitive::PppoeSession(session) => return self.pppoe_session(place, *session, span),
            Primitive::Geneve(network) => return self.geneve(place, *network, span),
            Primitive::Protocol(protocol) => self.protocol(place, *protocol, span)?,
            Primitive::Carries { within, number } => self.carries(place, *within, *number, span)?,
            Primitive::Chains { within, number } => self.chains(place, *within, *number, span)?,
            Primitive::Host { within, direction, addresses, .. } => {
                self.hosts(place, *within, *direction, addresses, span)?
            }
            Primitive::EtherHost { direction, address, .. } => {
                self.station(place, *direction, *address, span)?
            }
            Primitive::ArcnetHost { direction, address } => {
                self.arcnet_host(place, *direction, *address, span)?
            }
            Primitive::DecnetHost { direction, address } => {
                self.decnet_host(place, *direction, *address, span)?
            }
            Primitive::Gateway { address, addresses, .. } => {
                self.gateway(place, *address, addresses, span)?
            }
            Primitive::Port { transport, direction, low, high } => {
                self.ports(place, *transport, *direction, (*low, *high), span)?
            }
            Primitive::Broadcast(within) => self.broadcast(place, *within, span)?,
            Primitive::Multicast(within) => self.multicast(place, *within, span)?,
            Primitive::PppoeDiscovery => self.link_type(place, place::PPPOE_DISCOVERY, span)?,
            Primitive::Llc(llc) => self.llc(place, *llc, span)?,
            other => self.other(place, other, span)?,
        };
        Ok(stay(place, test))
    }

    /// Counts copies of a test behind which ways part: ways double with each place where they do.
    fn count_copies(&self, test: &Test, copies: usize, node: &Node) -> Result<()> {
        if copies == 0 {
            return Ok(());
        }
        self.copied.set(self.copied.get() + size(test) * copies);
        if self.copied.get() > MOST_COPIED { Err(too_many(span_of(node))) } else { Ok(()) }
    }

    /// A value that is computed before anything is asked, if it is used.
    fn beforehand(&self, value: Value) -> Value {
        let local = self.local();
        self.prelude.borrow_mut().push((local, value, false));
        Value::Local(local)
    }

    fn local(&self) -> Local {
        let local = self.next_local.get();
        self.next_local.set(local.wrapping_add(1));
        Local(local)
    }

    /// A value that may have been computed beforehand is used, and with it those it is computed from.
    fn note_use(&self, local: Local) {
        // The second is computed from the first.
        for (known, _, used) in self.prelude.borrow_mut().iter_mut() {
            *used |= known.0 <= local.0;
        }
    }
}

/// The test does not lead anywhere else.
fn stay(place: &Place, test: Test) -> Vec<Way> {
    vec![Way { test, place: place.clone() }]
}

/// Ways to one place are one.
fn joined(ways: Vec<Way>, span: impl Fn() -> Span) -> Result<Vec<Way>> {
    let mut places: Vec<(Place, Vec<Test>)> = Vec::new();
    for Way { test, place } in ways {
        match places.iter().position(|(known, _)| *known == place) {
            Some(index) => places[index].1.push(test),
            None if test == Test::False && !places.is_empty() => {}
            None => places.push((place, vec![test])),
        }
    }
    if places.len() > MOST_WAYS {
        return Err(too_many(span()));
    }
    Ok(places.into_iter().map(|(place, tests)| Way { test: any(tests), place }).collect())
}

fn too_many(span: Span) -> Fault {
    let fault = Fault::new(span, "`vlan`, `mpls`, `pppoes` and `geneve` lead to too many places");
    fault.hint("write the alternatives one after the other, joined by `or`")
}

/// How many tests it is made of.
fn size(test: &Test) -> usize {
    1 + match test {
        Test::Not(test) => size(test),
        Test::All(tests) | Test::Any(tests) => tests.iter().map(size).sum(),
        Test::Let { body, .. } => size(body),
        _ => 0,
    }
}

/// The first of what stands for a node.
fn span_of(node: &Node) -> Span {
    match node {
        Node::Compare { span, .. } | Node::Primitive(_, span) => *span,
        Node::Not(node) => span_of(node),
        Node::All(nodes) | Node::Any(nodes) => nodes.first().map_or(Span::default(), span_of),
    }
}

/// All of them, as simple as can be.
fn all(tests: impl IntoIterator<Item = Test>) -> Test {
    let mut kept = Vec::new();
    for test in tests {
        match test {
            Test::True => {}
            // What comes before it may reject the frame, which then is what happens to it anyway.
            Test::False => return Test::False,
            Test::All(tests) => kept.extend(tests),
            test => kept.push(test),
        }
    }
    match kept.len() {
        0 => Test::True,
        1 => kept.remove(0),
        _ => Test::All(kept),
    }
}

/// Any of them, as simple as can be. Nothing may be left out before one that holds: it may reject the frame.
fn any(tests: impl IntoIterator<Item = Test>) -> Test {
    let mut kept = Vec::new();
    for test in tests {
        match test {
            Test::False => {}
            Test::Any(tests) => kept.extend(tests),
            Test::True => {
                kept.push(Test::True);
                break;
            }
            test => kept.push(test),
        }
    }
    match kept.len() {
        0 => Test::False,
        1 => kept.remove(0),
        _ => Test::Any(kept),
    }
}

fn not(test: Test) -> Test {
    match test {
        Test::True => Test::False,
        Test::False => Test::True,
        Test::Not(test) => *test,
        test => test.negated(),
    }
}

#[cfg(test)]
mod tests;
