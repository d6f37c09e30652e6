//! DNS messages (RFC 1035 section 4), as many kinds of record as a test or a demonstration needs.

use std::net::{Ipv4Addr, Ipv6Addr};

/// A DNS message of one question and any number of answers to it: the message that a datagram wraps.
///
/// ```
/// use wharf::build::{DnsMessage, DnsRecord, DnsType, Ipv4, Stack, Udp};
///
/// let query = DnsMessage::query(7, "wharf.example", DnsType::A)?;
/// let answer = DnsMessage::response(&query).answer(60, DnsRecord::A([10, 0, 0, 2].into()))?;
/// let mut stack = Stack::new();
/// stack.message(answer.bytes()).wrap(Udp::new(53, 40_000)).wrap(Ipv4::new([10, 0, 0, 2], [10, 0, 0, 1]));
/// assert_eq!(query.bytes().len(), 12 + 15 + 4);
/// assert_eq!(answer.bytes().len(), 12 + 15 + 4 + 16);
/// # Ok::<(), wharf::build::NameError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsMessage {
    bytes: Vec<u8>,
    question_end: usize,
}

/// Type of a record or question (RFC 1035 section 3.2.2; IANA's registry for the others).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DnsType(pub u16);

impl DnsType {
    /// An IPv4 address.
    pub const A: Self = Self(1);
    /// The canonical name of an alias.
    pub const CNAME: Self = Self(5);
    /// A pointer to another name.
    pub const PTR: Self = Self(12);
    /// Text.
    pub const TXT: Self = Self(16);
    /// An IPv6 address (RFC 3596).
    pub const AAAA: Self = Self(28);
}

/// What an answer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DnsRecord<'a> {
    /// An IPv4 address.
    A(Ipv4Addr),
    /// An IPv6 address.
    Aaaa(Ipv6Addr),
    /// The canonical name of an alias.
    Cname(&'a str),
    /// A pointer to another name.
    Ptr(&'a str),
    /// Text, at most 255 bytes of it.
    Txt(&'a str),
}

/// A name that DNS cannot carry (RFC 1035 section 2.3.4).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name:?} is no domain name: labels have 1 to 63 bytes, the whole at most 255")]
pub struct NameError {
    name: String,
}

/// Header flags: recursion desired.
const RECURSION_DESIRED: u16 = 0x0100;
/// Header flags: a response, recursion available.
const RESPONSE: u16 = 0x8080;

impl DnsMessage {
    /// A question of class IN, recursion desired.
    ///
    /// # Errors
    /// When `name` is not a domain name; a dot at its end is fine, and so is the root as `"."`.
    pub fn query(id: u16, name: &str, kind: DnsType) -> Result<Self, NameError> {
        let header = [id, RECURSION_DESIRED, 1, 0, 0, 0];
        let mut bytes: Vec<u8> = header.into_iter().flat_map(u16::to_be_bytes).collect();
        write_name(&mut bytes, name)?;
        bytes.extend([kind.0, 1].into_iter().flat_map(u16::to_be_bytes));
        Ok(Self { question_end: bytes.len(), bytes })
    }

    /// The response to a query, with no answer yet and response code 0.
    #[must_use]
    pub fn response(query: &Self) -> Self {
        let mut bytes = query.bytes[..query.question_end].to_vec();
        bytes[2..4].copy_from_slice(&(RESPONSE | RECURSION_DESIRED).to_be_bytes());
        Self { bytes, question_end: query.question_end }
    }

    /// With a response code, 0 to 15: 3 says that there is no such name.
    #[must_use]
    pub fn code(mut self, code: u8) -> Self {
        self.bytes[3] = self.bytes[3] & 0xf0 | code & 0x0f;
        self
    }

    /// With one more answer about the name asked for; `ttl` in seconds.
    ///
    /// # Errors
    /// When the record holds a name that is not a domain name.
    pub fn answer(mut self, ttl: u32, record: DnsRecord<'_>) -> Result<Self, NameError> {
        let mut data = Vec::new();
        let kind = match record {
            DnsRecord::A(address) => {
                data.extend(address.octets());
                DnsType::A
            }
            DnsRecord::Aaaa(address) => {
                data.extend(address.octets());
                DnsType::AAAA
            }
            DnsRecord::Cname(name) => {
                write_name(&mut data, name)?;
                DnsType::CNAME
            }
            DnsRecord::Ptr(name) => {
                write_name(&mut data, name)?;
                DnsType::PTR
            }
            DnsRecord::Txt(text) => {
                let text = &text.as_bytes()[..text.len().min(255)];
                data.push(text.len() as u8);
                data.extend(text);
                DnsType::TXT
            }
        };
        // The name as a pointer to the question's, which follows the 12-byte header (RFC 1035 section 4.1.4).
        self.bytes.extend([0xc00c, kind.0, 1].into_iter().flat_map(u16::to_be_bytes));
        self.bytes.extend(ttl.to_be_bytes());
        self.bytes.extend((data.len() as u16).to_be_bytes());
        self.bytes.extend(data);
        let answers = u16::from_be_bytes([self.bytes[6], self.bytes[7]]).wrapping_add(1);
        self.bytes[6..8].copy_from_slice(&answers.to_be_bytes());
        Ok(self)
    }

    /// The message as UDP carries it; over TCP its length stands before it in two bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// A name as labels with their lengths, uncompressed.
fn write_name(bytes: &mut Vec<u8>, name: &str) -> Result<(), NameError> {
    let error = || NameError { name: name.to_owned() };
    let start = bytes.len();
    let labels = name.strip_suffix('.').unwrap_or(name);
    for label in labels.split('.').filter(|_| !labels.is_empty()) {
        let length = u8::try_from(label.len()).ok().filter(|length| (1..=63).contains(length));
        bytes.push(length.ok_or_else(error)?);
        bytes.extend(label.as_bytes());
    }
    bytes.push(0);
    if bytes.len() - start > 255 { Err(error()) } else { Ok(()) }
}
