//! A question to a name server and what its answer says.

use crate::parse::dns::{DnsMessage, Name, RecordData, RecordType};
use std::net::IpAddr;
use std::time::Duration;

/// Types of records (RFC 1035 section 3.2.2, RFC 3596 section 2.1).
const A: RecordType = RecordType(1);
const CNAME: RecordType = RecordType(5);
const AAAA: RecordType = RecordType(28);

/// Which addresses are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    V4,
    V6,
}

impl Family {
    fn record_type(self) -> RecordType {
        match self {
            Self::V4 => A,
            Self::V6 => AAAA,
        }
    }
}

/// What an answer comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// Addresses, in order, and for how long they are good; there may be none of this family.
    Addresses(Vec<IpAddr>, Duration),
    /// There is no such name.
    NoName,
    /// It did not fit: to be asked over TCP.
    Truncated,
    /// The server will not or cannot say.
    Failed,
}

/// Aliases followed from one name to the next.
const MOST_ALIASES: usize = 16;

/// A question (RFC 1035 section 4.1) for a name of printable ASCII. `None` where the name cannot be one.
pub(super) fn question(id: u16, name: &str, family: Family) -> Option<Vec<u8>> {
    // Recursion desired, one question.
    let mut message = [&id.to_be_bytes()[..], &[1, 0, 0, 1, 0, 0, 0, 0, 0, 0]].concat();
    let name = name.strip_suffix('.').unwrap_or(name);
    for label in name.split('.') {
        let length = u8::try_from(label.len()).ok().filter(|length| (1..=63).contains(length))?;
        message.push(length);
        message.extend_from_slice(label.as_bytes());
    }
    message.push(0);
    // Section 2.3.4, with the length of the first label and the root.
    if message.len() - 12 > 255 {
        return None;
    }
    message.extend_from_slice(&family.record_type().0.to_be_bytes());
    message.extend_from_slice(&[0, 1]);
    Some(message)
}

/// What a message says to a question; `None` when it is no answer to it, and the right one may still come.
pub(super) fn answer(bytes: &[u8], id: u16, name: &str, family: Family) -> Option<Answer> {
    let message = DnsMessage::parse(bytes).ok()?;
    if message.id() != id || !message.is_response() || message.opcode() != 0 {
        return None;
    }
    // A server that cannot read the question may leave it out.
    if let Some(question) = message.questions().next() {
        let question = question.ok()?;
        if question.kind != family.record_type() || !is(&question.name, name) {
            return None;
        }
    } else if message.rcode() == 0 {
        return None;
    }
    match message.rcode() {
        0 if message.truncated() => return Some(Answer::Truncated),
        0 => {}
        3 => return Some(Answer::NoName),
        _ => return Some(Answer::Failed),
    }
    Some(addresses(&message, name, family))
}

/// Follows the aliases from the name asked for (RFC 1034 section 3.6.2), and takes the addresses of the last. A damaged message
/// gives nothing.
fn addresses(message: &DnsMessage<'_>, name: &str, family: Family) -> Answer {
    let Ok(records) = message.answers().collect::<Result<Vec<_>, _>>() else { return Answer::Failed };
    let (mut owner, mut seconds) = (name.to_owned(), u32::MAX);
    for _ in 0..MOST_ALIASES {
        let own = || records.iter().filter(|record| record.class() == 1 && is(&record.name(), &owner));
        let mut found: Vec<IpAddr> = Vec::new();
        for record in own() {
            match (record.data(), family) {
                (RecordData::A(address), Family::V4) => found.push(address.into()),
                (RecordData::Aaaa(address), Family::V6) => found.push(address.into()),
                _ => continue,
            }
            seconds = seconds.min(record.ttl());
        }
        if !found.is_empty() {
            found.sort_unstable();
            found.dedup();
            return Answer::Addresses(found, Duration::from_secs(seconds.into()));
        }
        let alias = own().find_map(|record| match record.data() {
            RecordData::Name(target) if record.kind() == CNAME => Some((target.to_string(), record.ttl())),
            _ => None,
        });
        let Some((target, ttl)) = alias else { break };
        (owner, seconds) = (target, seconds.min(ttl));
    }
    Answer::Addresses(Vec::new(), Duration::ZERO)
}

/// Names are equal whatever their case (RFC 1035 section 2.3.3).
fn is(found: &Name<'_>, name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    let found = found.to_string();
    found.strip_suffix('.').unwrap_or(&found).eq_ignore_ascii_case(name)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(crate) fn wire(name: &str) -> Vec<u8> {
        let labels = name.split('.').flat_map(|label| [&[label.len() as u8], label.as_bytes()].concat());
        labels.chain([0]).collect()
    }

    /// A record of class IN.
    pub(crate) fn record(owner: &str, kind: u16, ttl: u32, data: &[u8]) -> Vec<u8> {
        let length = u16::try_from(data.len()).unwrap().to_be_bytes();
        [&wire(owner)[..], &kind.to_be_bytes(), &[0, 1], &ttl.to_be_bytes(), &length, data].concat()
    }

    /// The answer to a question with these flags and records.
    pub(crate) fn reply(question: &[u8], flags: u16, records: &[Vec<u8>]) -> Vec<u8> {
        let mut message = question.to_vec();
        message[2..4].copy_from_slice(&(0x8180 | flags).to_be_bytes());
        message[6..8].copy_from_slice(&u16::try_from(records.len()).unwrap().to_be_bytes());
        message.extend(records.concat());
        message
    }

    fn ask(flags: u16, records: &[Vec<u8>]) -> Option<Answer> {
        let question = question(7, "a.example", Family::V4).expect("a question");
        answer(&reply(&question, flags, records), 7, "A.example.", Family::V4)
    }

    #[test]
    fn addresses_come_with_the_shortest_time() {
        let records = [
            record("a.example", 5, 300, &wire("b.example")),
            record("b.example", 1, 60, &[192, 0, 2, 2]),
            record("B.EXAMPLE", 1, 90, &[192, 0, 2, 1]),
            record("c.example", 1, 1, &[192, 0, 2, 9]),
            record("b.example", 28, 1, &[0; 16]),
        ];
        let addresses = ["192.0.2.1", "192.0.2.2"].map(|text| text.parse().unwrap()).to_vec();
        assert_eq!(ask(0, &records), Some(Answer::Addresses(addresses, Duration::from_secs(60))));
        assert_eq!(ask(0, &[]), Some(Answer::Addresses(Vec::new(), Duration::ZERO)));
    }

    #[test]
    fn aliases_in_a_ring_end() {
        let ring = [
            record("a.example", 5, 300, &wire("b.example")),
            record("b.example", 5, 300, &wire("a.example")),
        ];
        assert_eq!(ask(0, &ring), Some(Answer::Addresses(Vec::new(), Duration::ZERO)));
    }

    #[test]
    fn what_is_no_answer_to_it_is_passed_over() {
        let asked = question(7, "a.example", Family::V4).expect("a question");
        let good = reply(&asked, 0, &[]);
        let read = |bytes: &[u8], id| answer(bytes, id, "a.example", Family::V4);
        assert!(read(&good, 7).is_some());
        assert_eq!(read(&good, 8), None, "another id");
        assert_eq!(read(&asked, 7), None, "a question");
        assert_eq!(answer(&good, 7, "b.example", Family::V4), None, "another name");
        assert_eq!(answer(&good, 7, "a.example", Family::V6), None, "another type");
        assert_eq!(read(&good[..11], 7), None, "no header");
        assert_eq!(
            [ask(0x200, &[]), ask(3, &[]), ask(2, &[])].map(Option::unwrap),
            [Answer::Truncated, Answer::NoName, Answer::Failed]
        );
        let mut damaged = reply(&asked, 0, &[record("a.example", 1, 60, &[192, 0, 2, 1])]);
        damaged.pop();
        assert_eq!(read(&damaged, 7), Some(Answer::Failed));
    }

    #[test]
    fn names_that_cannot_be_are_not_asked_for() {
        for name in ["", ".", "a..b", &"a".repeat(64), &["a"; 200].join(".")] {
            assert_eq!(question(1, name, Family::V4), None, "{name}");
        }
        assert_eq!(
            question(0x102, "a.b.", Family::V6).unwrap(),
            b"\x01\x02\x01\0\0\x01\0\0\0\0\0\0\x01a\x01b\0\0\x1c\0\x01"
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_answer_or_none(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let question = question(7, "a.example", Family::V4).unwrap();
            let _ = answer(&[&question[..], &bytes].concat(), 7, "a.example", Family::V4);
            let mut claims_more = reply(&question, 0, &[]);
            claims_more[7] = 5;
            let _ = answer(&[claims_more, bytes].concat(), 7, "a.example", Family::V4);
        }
    }
}
