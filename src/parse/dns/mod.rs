//! DNS messages (RFC 1035 4.1), read in place through the `domain` library.
//!
//! A damaged message gives what stands before the damage: every iterator yields what could be read,
//! then one [`DnsError`], then nothing. Compression pointers may only point backwards (RFC 1035
//! 4.1.4: "a prior occurrence"), so loops and forward pointers are errors, not work.

mod name;
mod record;
mod stream;

pub use name::Name;
pub use record::{Other, Record, RecordData, RecordType, Records, Strings, class_mnemonic, rcode_mnemonic};
pub use stream::TcpMessages;

use domain::base::Message;
use domain::base::message::QuestionSection;
use domain::base::wire::ParseError;

/// Port of DNS over UDP and TCP.
pub const DNS_PORT: u16 = 53;
/// Port of multicast DNS, RFC 6762.
pub const MDNS_PORT: u16 = 5353;
/// Port of link-local multicast name resolution, RFC 4795.
pub const LLMNR_PORT: u16 = 5355;

/// Where and why a message could not be read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DnsError {
    /// The message ends within its 12-byte header, a name or a record.
    #[error("the message ends too early")]
    TooShort,
    /// A name is too long, has an unknown label type or a pointer that does not point backwards.
    #[error("a name or record is malformed")]
    Malformed,
}

impl From<ParseError> for DnsError {
    fn from(error: ParseError) -> Self {
        match error {
            ParseError::ShortInput => Self::TooShort,
            ParseError::Form(_) => Self::Malformed,
        }
    }
}

/// A DNS message: a view of its bytes, whose 12-byte header is there.
///
/// ```
/// use wharf::parse::dns::DnsMessage;
/// let query = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x07example\x03com\0\0\x01\0\x01";
/// let message = DnsMessage::parse(query)?;
/// assert_eq!(message.id(), 0x1234);
/// let question = message.questions().next().expect("one question")?;
/// assert_eq!(question.name.to_string(), "example.com");
/// assert_eq!(question.kind.to_string(), "A");
/// # Ok::<(), wharf::parse::dns::DnsError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct DnsMessage<'a> {
    message: &'a Message<[u8]>,
}

/// How many entries the header announces; the sections may hold fewer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// QDCOUNT.
    pub questions: u16,
    /// ANCOUNT.
    pub answers: u16,
    /// NSCOUNT.
    pub authority: u16,
    /// ARCOUNT.
    pub additional: u16,
}

impl<'a> DnsMessage<'a> {
    /// A view of a message; `bytes` are without the length prefix of DNS over TCP.
    ///
    /// # Errors
    /// [`DnsError::TooShort`] when there is no whole header.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, DnsError> {
        Message::from_slice(bytes).map(|message| Self { message }).map_err(|_| DnsError::TooShort)
    }

    /// The message in a TCP segment, where the segment holds exactly one, behind its 2-byte length
    /// (RFC 1035 4.2.2).
    #[must_use]
    pub fn from_tcp(segment: &'a [u8]) -> Option<Self> {
        let (length, message) = segment.split_first_chunk::<2>()?;
        if usize::from(u16::from_be_bytes(*length)) != message.len() {
            return None;
        }
        Self::parse(message).ok()
    }

    /// Identifier that pairs a response with its query.
    #[must_use]
    pub fn id(&self) -> u16 {
        self.message.header().id()
    }

    /// QR: a response, not a query.
    #[must_use]
    pub fn is_response(&self) -> bool {
        self.message.header().qr()
    }

    /// OPCODE: 0 query, 4 notify, 5 update.
    #[must_use]
    pub fn opcode(&self) -> u8 {
        self.message.header().opcode().to_int()
    }

    /// The 4 bits of RCODE in the header: 0 no error, 2 server failure, 3 no such name.
    #[must_use]
    pub fn rcode(&self) -> u8 {
        self.message.header().rcode().to_int()
    }

    /// RCODE with the 8 further bits that an OPT record adds (RFC 6891 6.1.3): 16 bad version, 23 bad cookie.
    #[must_use]
    pub fn extended_rcode(&self) -> u16 {
        let low = u16::from(self.rcode());
        if self.message.header_counts().arcount() == 0 {
            return low;
        }
        let option = self.additional().flatten().find(|record| record.kind() == RecordType::OPT);
        option.map_or(low, |record| low | (record.ttl() >> 24 << 4) as u16)
    }

    /// The second 16-bit word of the header: QR, OPCODE, flags, RCODE.
    #[must_use]
    pub fn flags(&self) -> u16 {
        match self.message.as_slice() {
            [_, _, high, low, ..] => u16::from_be_bytes([*high, *low]),
            _ => 0,
        }
    }

    /// AA: from a server that is an authority for the name.
    #[must_use]
    pub fn authoritative(&self) -> bool {
        self.message.header().aa()
    }

    /// TC: cut short for the transport.
    #[must_use]
    pub fn truncated(&self) -> bool {
        self.message.header().tc()
    }

    /// RD: recursion is wanted.
    #[must_use]
    pub fn recursion_desired(&self) -> bool {
        self.message.header().rd()
    }

    /// RA: recursion is offered.
    #[must_use]
    pub fn recursion_available(&self) -> bool {
        self.message.header().ra()
    }

    /// AD: the server vouches for the data (RFC 4035 3.2.3).
    #[must_use]
    pub fn authentic_data(&self) -> bool {
        self.message.header().ad()
    }

    /// CD: checking is not wanted (RFC 4035 3.2.2).
    #[must_use]
    pub fn checking_disabled(&self) -> bool {
        self.message.header().cd()
    }

    /// What the header announces.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let counts = self.message.header_counts();
        Counts {
            questions: counts.qdcount(),
            answers: counts.ancount(),
            authority: counts.nscount(),
            additional: counts.arcount(),
        }
    }

    /// The question section.
    #[must_use]
    pub fn questions(&self) -> Questions<'a> {
        Questions { section: self.message.question() }
    }

    /// The answer section.
    #[must_use]
    pub fn answers(&self) -> Records<'a> {
        Records::new(self.message.answer())
    }

    /// The authority section.
    #[must_use]
    pub fn authority(&self) -> Records<'a> {
        Records::new(self.message.authority())
    }

    /// The additional section.
    #[must_use]
    pub fn additional(&self) -> Records<'a> {
        Records::new(self.message.additional())
    }
}

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// QNAME.
    pub name: Name<'a>,
    /// QTYPE.
    pub kind: RecordType,
    /// QCLASS: 1 is the Internet; in multicast DNS the top bit asks for a unicast response.
    pub class: u16,
}

/// The questions of a message.
#[derive(Clone, Debug)]
pub struct Questions<'a> {
    section: QuestionSection<'a, [u8]>,
}

impl<'a> Iterator for Questions<'a> {
    type Item = Result<Question<'a>, DnsError>;

    fn next(&mut self) -> Option<Self::Item> {
        let question = match self.section.next()? {
            Ok(question) => question,
            Err(error) => return Some(Err(error.into())),
        };
        let (kind, class) = (RecordType(question.qtype().to_int()), question.qclass().to_int());
        Some(Ok(Question { name: Name(question.into_qname()), kind, class }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A response to `a.example`: one question, then `answers` records as given, `count` announced.
    fn response(count: u16, answers: &[u8]) -> Vec<u8> {
        let mut bytes = b"\0\x07\x81\x80\0\x01".to_vec();
        bytes.extend(count.to_be_bytes());
        bytes.extend(b"\0\0\0\0\x01a\x07example\0\0\x01\0\x01");
        bytes.extend(answers);
        bytes
    }

    fn shown(bytes: &[u8]) -> Vec<String> {
        let message = DnsMessage::parse(bytes).expect("a header");
        message
            .answers()
            .map(|record| match record {
                Ok(record) => format!("{record:?}"),
                Err(error) => format!("! {error}"),
            })
            .collect()
    }

    #[test]
    fn records_are_shown_in_presentation_format() {
        let records = [
            b"\xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x04\x01\x02\x03\x04".as_slice(),
            b"\xc0\x0c\0\x05\0\x01\0\0\0\x3c\0\x04\x01b\xc0\x0e",
            b"\xc0\x0c\0\x0f\0\x01\0\0\0\x3c\0\x06\0\x0a\x01m\xc0\x0e",
            b"\xc0\x0c\0\x10\0\x01\0\0\0\x3c\0\x06\x02hi\x02\"\x01",
            b"\xc0\x0c\xff\x01\0\x01\0\0\0\x3c\0\x02\xab\xcd",
        ];
        let bytes = response(5, &records.concat());
        assert_eq!(
            shown(&bytes),
            [
                "a.example 60 A 1.2.3.4",
                "a.example 60 CNAME b.example",
                "a.example 60 MX 10 m.example",
                "a.example 60 TXT \"hi\" \"\"\\001\"",
                "a.example 60 TYPE65281 \\# 2 abcd",
            ]
        );
    }

    #[test]
    fn what_was_read_stays_and_the_error_comes_last() {
        let bytes = response(9, b"\xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x04\x01\x02\x03\x04");
        assert_eq!(shown(&bytes), ["a.example 60 A 1.2.3.4", "! the message ends too early"]);
        assert_eq!(DnsMessage::parse(&bytes).unwrap().counts().answers, 9);
    }

    #[test]
    fn data_that_breaks_its_format_is_given_raw() {
        let bytes = response(1, b"\xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x03\x01\x02\x03");
        assert_eq!(shown(&bytes), ["a.example 60 A \\# 3 010203"]);
    }

    #[test]
    fn pointers_to_themselves_or_forward_end_the_section() {
        for pointer in [0x0c, 0x0e, 0x20] {
            let mut bytes = b"\0\x07\0\0\0\x01\0\0\0\0\0\0\xc0".to_vec();
            bytes.push(pointer);
            bytes.extend([0; 40]);
            let message = DnsMessage::parse(&bytes).unwrap();
            let mut questions = message.questions();
            assert!(matches!(questions.next(), Some(Err(_))), "pointer to {pointer}");
            assert!(questions.next().is_none());
            assert_eq!(message.id(), 7);
        }
    }

    #[test]
    fn labels_of_any_bytes_become_text() {
        let mut bytes = b"\0\x07\0\0\0\x01\0\0\0\0\0\0".to_vec();
        bytes.extend(b"\x0a\xe5\xb0\x8f\0\n\xff.\xed\xbf\x7f\x00\0\x01\0\x01");
        let message = DnsMessage::parse(&bytes).unwrap();
        let name = message.questions().next().unwrap().unwrap().name;
        assert_eq!(name.to_string(), "小\\000\\n\u{fffd}.\u{fffd}\\177");
        assert!(!name.is_root());
    }

    #[test]
    fn a_message_over_tcp_must_fill_its_segment() {
        let bytes = response(0, b"");
        let mut segment = u16::try_from(bytes.len()).unwrap().to_be_bytes().to_vec();
        segment.extend(&bytes);
        assert_eq!(DnsMessage::from_tcp(&segment).map(|message| message.id()), Some(7));
        segment.pop();
        assert!(DnsMessage::from_tcp(&segment).is_none());
    }

    #[test]
    fn no_cut_of_a_message_panics() {
        let bytes = response(1, b"\xc0\x0c\0\x10\0\x01\0\0\0\x3c\0\x06\x02hi\x02\"\x01");
        for end in 0..bytes.len() {
            let Ok(message) = DnsMessage::parse(&bytes[..end]) else { continue };
            let all = [message.answers(), message.authority(), message.additional()];
            let records = all.into_iter().flatten().flatten().map(|record| record.data().to_string());
            assert!(records.count() == 0 && message.questions().count() <= 1, "cut at {end}");
        }
    }
}
