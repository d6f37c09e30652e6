//! A question and what became of it: plain data, for whoever prints it or sends it on.

use crate::frame::Timestamp;
use crate::parse::dns::RecordType;
use std::net::IpAddr;
use std::time::Duration;

/// A question that a client asked, with its answer, if one came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lookup {
    /// When it was asked for the first time.
    pub asked: Timestamp,
    /// Who asked.
    pub client: (IpAddr, u16),
    /// Who was asked; once it is answered, who answered. Before that, of a multicast question, the group.
    pub server: (IpAddr, u16),
    /// Which protocol.
    pub service: Service,
    /// Over TCP.
    pub tcp: bool,
    /// The message's identifier; 0 in multicast DNS.
    pub id: u16,
    /// QNAME as the client wrote it.
    pub name: Box<str>,
    /// QTYPE.
    pub kind: RecordType,
    /// QCLASS, without multicast DNS's top bit.
    pub class: u16,
    /// How often it was asked again, in the same way, before it was answered.
    pub repeats: u32,
    /// What became of it.
    pub outcome: Outcome,
}

/// What became of a question.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// An answer came.
    Answered(Reply),
    /// None came within the timeout, or before the same ports and identifier were used for another question.
    Unanswered,
    /// It was given up for others: there were more open questions than are kept.
    Evicted,
    /// The capture ended first.
    Open,
}

/// The first response to a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// From the first time it was asked. Zero where the capture's times run backwards.
    pub latency: Duration,
    /// RCODE with EDNS's further bits: 0 no error, 2 server failure, 3 no such name.
    pub rcode: u16,
    /// TC: there is more, to be had over TCP.
    pub truncated: bool,
    /// It announces more answers than could be read: the capture has not all of it, or it is damaged.
    pub cut: bool,
    /// The answer section, or of multicast DNS those of it that answer the question.
    pub answers: Vec<Answer>,
}

/// A record of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The name it belongs to.
    pub name: Box<str>,
    /// TYPE.
    pub kind: RecordType,
    /// Seconds.
    pub ttl: u32,
    /// In presentation format.
    pub data: Box<str>,
}

/// A protocol that speaks in DNS messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Service {
    /// RFC 1035.
    Dns,
    /// RFC 6762.
    Mdns,
    /// RFC 4795.
    Llmnr,
}

impl Service {
    /// Lower-case name for machines.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::Mdns => "mdns",
            Self::Llmnr => "llmnr",
        }
    }
}

impl Lookup {
    /// The response, if one came.
    #[must_use]
    pub fn reply(&self) -> Option<&Reply> {
        match &self.outcome {
            Outcome::Answered(reply) => Some(reply),
            _ => None,
        }
    }

    /// The client was told that it cannot have what it asked for.
    #[must_use]
    pub fn failed(&self) -> bool {
        self.reply().is_some_and(|reply| reply.rcode != 0)
    }
}

/// The account of all messages and lookups.
///
/// `asked = answered + unanswered + evicted + open`, where open are those of which neither is known yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct LookupCounts {
    /// Messages that ask.
    pub queries: u64,
    /// Messages that answer.
    pub responses: u64,
    /// Messages whose question, or TCP streams whose next message, could not be read.
    pub unreadable: u64,
    /// Questions; one asked again while it is open counts once.
    pub asked: u64,
    /// Questions asked again.
    pub repeats: u64,
    /// Questions that were answered.
    pub answered: u64,
    /// Questions that were not, in time.
    pub unanswered: u64,
    /// Questions given up for others.
    pub evicted: u64,
    /// Responses that answered a question.
    pub answers: u64,
    /// Of the questions answered, those with an answer that is [cut](Reply::cut).
    pub cut: u64,
    /// Further responses to the same question.
    pub duplicates: u64,
    /// Responses to a question of the same ports and identifier, but with another name or type.
    pub mismatched: u64,
    /// Responses to no question that was seen, or not any more.
    pub unsolicited: u64,
    /// Multicast responses that answer nobody who is known to have asked: as a rule, announcements.
    pub announcements: u64,
}

impl LookupCounts {
    /// Questions of which it is not known yet what becomes of them.
    #[must_use]
    pub fn open(&self) -> u64 {
        self.asked - self.answered - self.unanswered - self.evicted
    }
}
