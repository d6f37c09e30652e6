//! Resource records (RFC 1035 4.1.3).

use super::DnsError;
use super::name::{Name, write_escaped};
use domain::base::ParsedRecord;
use domain::base::iana::{Class, OptRcode, Rtype};
use domain::base::message::RecordSection;
use domain::base::name::ParsedName;
use domain::base::rdata::UnknownRecordData;
use domain::base::wire::ParseError;
use domain::rdata::AllRecordData;
use std::fmt::{self, Write as _};
use std::net::{Ipv4Addr, Ipv6Addr};

/// The records of one section.
#[derive(Clone, Debug)]
pub struct Records<'a> {
    section: Result<RecordSection<'a, [u8]>, Option<DnsError>>,
}

impl<'a> Records<'a> {
    pub(super) fn new(section: Result<RecordSection<'a, [u8]>, ParseError>) -> Self {
        Self { section: section.map_err(|error| Some(error.into())) }
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<Record<'a>, DnsError>;

    fn next(&mut self) -> Option<Self::Item> {
        match &mut self.section {
            Ok(section) => {
                section.next().map(|record| record.map(|record| Record { record }).map_err(DnsError::from))
            }
            Err(error) => error.take().map(Err),
        }
    }
}

/// One resource record.
pub struct Record<'a> {
    record: ParsedRecord<'a, [u8]>,
}

impl<'a> Record<'a> {
    /// The name it belongs to.
    #[must_use]
    pub fn name(&self) -> Name<'a> {
        Name(self.record.owner())
    }

    /// TYPE.
    #[must_use]
    pub fn kind(&self) -> RecordType {
        RecordType(self.record.rtype().to_int())
    }

    /// CLASS; the UDP payload size in an OPT record (RFC 6891 6.1.2).
    #[must_use]
    pub fn class(&self) -> u16 {
        self.record.class().to_int()
    }

    /// TTL in seconds; extended flags in an OPT record.
    #[must_use]
    pub fn ttl(&self) -> u32 {
        self.record.ttl().as_secs()
    }

    /// RDATA as its bytes.
    #[must_use]
    pub fn raw(&self) -> &'a [u8] {
        match self.record.to_record::<UnknownRecordData<&'a [u8]>>() {
            Ok(Some(record)) => record.into_data().data(),
            _ => &[],
        }
    }

    /// RDATA by its type; [`RecordData::Raw`] where it does not follow its type's format.
    #[must_use]
    pub fn data(&self) -> RecordData<'a> {
        type Known<'a> = AllRecordData<&'a [u8], ParsedName<&'a [u8]>>;
        let Ok(record) = self.record.to_any_record::<Known<'a>>() else {
            return RecordData::Raw(self.raw());
        };
        match record.into_data() {
            AllRecordData::A(a) => RecordData::A(a.addr()),
            AllRecordData::Aaaa(aaaa) => RecordData::Aaaa(aaaa.addr()),
            AllRecordData::Cname(cname) => RecordData::Name(Name(*cname.cname())),
            AllRecordData::Ns(ns) => RecordData::Name(Name(*ns.nsdname())),
            AllRecordData::Ptr(ptr) => RecordData::Name(Name(*ptr.ptrdname())),
            AllRecordData::Dname(dname) => RecordData::Name(Name(*dname.dname())),
            AllRecordData::Mx(mx) => {
                RecordData::Mx { preference: mx.preference(), exchange: Name(*mx.exchange()) }
            }
            AllRecordData::Srv(srv) => RecordData::Srv {
                priority: srv.priority(),
                weight: srv.weight(),
                port: srv.port(),
                target: Name(*srv.target()),
            },
            AllRecordData::Txt(_) => RecordData::Txt(Strings { rest: self.raw() }),
            AllRecordData::Unknown(unknown) => RecordData::Raw(unknown.data()),
            other => RecordData::Other(Other(other)),
        }
    }
}

impl fmt::Debug for Record<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {} {}", self.name(), self.ttl(), self.kind(), self.data())
    }
}

/// What a record says. `Display` gives the presentation format of its RFC.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum RecordData<'a> {
    /// RFC 1035 3.4.1.
    A(Ipv4Addr),
    /// RFC 3596 2.2.
    Aaaa(Ipv6Addr),
    /// A name alone: CNAME, NS, PTR, DNAME.
    Name(Name<'a>),
    /// RFC 1035 3.3.9.
    Mx {
        /// Lower is preferred.
        preference: u16,
        /// Mail server.
        exchange: Name<'a>,
    },
    /// RFC 2782.
    Srv {
        /// Lower is preferred.
        priority: u16,
        /// Share among equal priorities.
        weight: u16,
        /// Port of the service.
        port: u16,
        /// Host of the service.
        target: Name<'a>,
    },
    /// RFC 1035 3.3.14.
    Txt(Strings<'a>),
    /// Another type the library knows: SOA, HTTPS, CAA, DS, OPT and more.
    Other(Other<'a>),
    /// An unknown type or damaged data, as bytes.
    Raw(&'a [u8]),
}

impl fmt::Display for RecordData<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::A(address) => address.fmt(f),
            Self::Aaaa(address) => address.fmt(f),
            Self::Name(name) => name.fmt(f),
            Self::Mx { preference, exchange } => write!(f, "{preference} {exchange}"),
            Self::Srv { priority, weight, port, target } => {
                write!(f, "{priority} {weight} {port} {target}")
            }
            Self::Txt(strings) => {
                for (index, string) in strings.clone().enumerate() {
                    f.write_str(if index == 0 { "\"" } else { " \"" })?;
                    write_escaped(f, string)?;
                    f.write_char('"')?;
                }
                Ok(())
            }
            Self::Other(other) => other.0.fmt(f),
            // RFC 3597 5: the presentation of unknown data.
            Self::Raw(bytes) => {
                write!(f, "\\# {} ", bytes.len())?;
                bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }
    }
}

/// Data of a type that has no variant of its own; shown by `Display`.
#[derive(Clone, Debug)]
pub struct Other<'a>(AllRecordData<&'a [u8], ParsedName<&'a [u8]>>);

/// The character strings of a TXT record.
#[derive(Clone, Debug)]
pub struct Strings<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Strings<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let (&length, tail) = self.rest.split_first()?;
        let (string, rest) = tail.split_at_checked(usize::from(length))?;
        self.rest = rest;
        Some(string)
    }
}

/// A type of record; `Display` gives its mnemonic, `TYPE65280` for one without.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RecordType(pub u16);

impl RecordType {
    /// RFC 1035 3.4.1.
    pub const A: Self = Self(1);
    /// RFC 1035 3.3.1.
    pub const CNAME: Self = Self(5);
    /// RFC 3596 2.1.
    pub const AAAA: Self = Self(28);
    /// EDNS, RFC 6891.
    pub const OPT: Self = Self(41);
    /// Of a question: all types (RFC 1035 3.2.3).
    pub const ANY: Self = Self(255);

    /// Its mnemonic, such as `AAAA`.
    #[must_use]
    pub fn mnemonic(self) -> Option<&'static str> {
        Rtype::from_int(self.0).to_mnemonic_str()
    }
}

impl fmt::Display for RecordType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Rtype::from_int(self.0).fmt(f)
    }
}

/// The mnemonic of a response code with EDNS's further bits, such as `NXDOMAIN`; `None` for one without.
#[must_use]
pub fn rcode_mnemonic(code: u16) -> Option<&'static str> {
    OptRcode::checked_from_int(code)?.to_mnemonic_str()
}

/// The mnemonic of a class, such as `IN`; `None` for one without.
#[must_use]
pub fn class_mnemonic(class: u16) -> Option<&'static str> {
    Class::from_int(class).to_mnemonic_str()
}
