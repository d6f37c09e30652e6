//! DNS messages on one line: `12345+ A? example.com. (29)`, `12345 1/0/0 A 1.2.3.4 (45)`.

use super::printer::{Printed, Printer};
use super::span::Span;
use crate::parse::dns::{DnsMessage, Name, Question, Record, RecordData, RecordType, Records};
use crate::sink::format::{Hex, show};

/// RFC 6762 10.2, 5.4: in a record, replace what is cached; in a question, answer by unicast.
const TOP_CLASS_BIT: u16 = 0x8000;

/// Header bits that a query has no use for: AA, TC, RA, the reserved one, RCODE.
const ODD_IN_A_QUERY: u16 = 0x06cf;

fn opcode_name(opcode: u8) -> &'static str {
    [
        "",
        " inv_q",
        " stat",
        " op3",
        " notify",
        " update",
        " op6",
        " op7",
        " op8",
        " updateA",
        " updateD",
        " updateDA",
        " updateM",
        " updateMA",
        " zoneInit",
        " zoneRef",
    ][usize::from(opcode & 15)]
}

fn rcode_name(rcode: u16) -> &'static str {
    match rcode {
        0 => "",
        1 => " FormErr",
        2 => " ServFail",
        3 => " NXDomain",
        4 => " NotImp",
        5 => " Refused",
        6 => " YXDomain",
        7 => " YXRRSet",
        8 => " NXRRSet",
        9 => " NotAuth",
        10 => " NotZone",
        11 => " Resp11",
        12 => " Resp12",
        13 => " Resp13",
        14 => " Resp14",
        15 => " NoChange",
        16 => " BadVers",
        17 => " BadKey",
        18 => " BadTime",
        19 => " BadMode",
        20 => " BadName",
        21 => " BadAlg",
        22 => " BadTrunc",
        23 => " BadCookie",
        _ => " RespUnknown",
    }
}

impl Printer<'_> {
    /// A message; `multicast` when it is mDNS.
    pub(super) fn dns(&mut self, span: Span<'_>, multicast: bool) {
        let length = span.length;
        if length < 12 {
            return show!(self.out, "domain [length ", length, " < 12] (invalid)");
        }
        let printed = match DnsMessage::parse(span.bytes) {
            Err(_) => None,
            Ok(message) if message.is_response() => self.dns_response(&message, multicast),
            Ok(message) => self.dns_query(&message, multicast),
        };
        match printed {
            Some(()) => show!(self.out, " (", length, ")"),
            None => self.truncated("domain"),
        }
    }

    /// The message in a TCP segment, where it holds a whole one; else why not.
    pub(super) fn dns_over_tcp(&mut self, span: Span<'_>) {
        let Some(prefix) = span.u16(0) else { return self.truncated("domain") };
        let prefix = usize::from(prefix);
        if span.length < 2 || prefix != span.length - 2 {
            let have = span.length.saturating_sub(2);
            return show!(self.out, " [prefix length(", prefix, ") != length(", have, ")] (invalid)");
        }
        show!(self.out, " ");
        self.dns(span.skip(2), false);
    }

    fn dns_response(&mut self, message: &DnsMessage<'_>, multicast: bool) -> Printed {
        let counts = message.counts();
        show!(self.out, message.id(), opcode_name(message.opcode()), rcode_name(message.extended_rcode()));
        show!(self.out, if message.authoritative() { "*" } else { "" });
        show!(self.out, if message.recursion_available() { "" } else { "-" });
        show!(self.out, if message.truncated() { "|" } else { "" });
        show!(self.out, if message.authentic_data() { "$" } else { "" });
        if counts.questions != 1 {
            show!(self.out, " [", counts.questions, "q]");
        }
        if self.options.verbosity > 1 {
            for (index, question) in message.questions().enumerate() {
                show!(self.out, if index == 0 { " q:" } else { "," });
                self.dns_question(&question.ok()?, multicast);
            }
        }
        show!(self.out, " ", counts.answers, "/", counts.authority, "/", counts.additional);
        self.dns_records("", message.answers())?;
        if self.options.verbosity > 1 {
            self.dns_records(" ns:", message.authority())?;
            self.dns_records(" ar:", message.additional())?;
        }
        Some(())
    }

    fn dns_query(&mut self, message: &DnsMessage<'_>, multicast: bool) -> Printed {
        let counts = message.counts();
        show!(self.out, message.id(), opcode_name(message.opcode()));
        show!(self.out, if message.recursion_desired() { "+" } else { "" });
        show!(self.out, if message.checking_disabled() { "%" } else { "" });
        if message.flags() & ODD_IN_A_QUERY != 0 {
            show!(self.out, " [b2&3=", Hex(message.flags()), "]");
        }
        if counts.answers > 0 {
            show!(self.out, " [", counts.answers, "a]");
        }
        if counts.questions != 1 {
            show!(self.out, " [", counts.questions, "q]");
        }
        if counts.authority > 0 {
            show!(self.out, " [", counts.authority, "n]");
        }
        if counts.additional > 0 {
            show!(self.out, " [", counts.additional, "au]");
        }
        for question in message.questions() {
            self.dns_question(&question.ok()?, multicast);
        }
        if self.options.verbosity > 1 {
            self.dns_records(" an:", message.answers())?;
            self.dns_records(" ns:", message.authority())?;
            self.dns_records(" ar:", message.additional())?;
        }
        Some(())
    }

    fn dns_question(&mut self, question: &Question<'_>, multicast: bool) {
        self.record_type(question.kind);
        let mut class = question.class;
        if multicast {
            show!(self.out, if class & TOP_CLASS_BIT != 0 { " (QU)" } else { " (QM)" });
            class &= !TOP_CLASS_BIT;
        }
        self.class(class);
        show!(self.out, "? ");
        self.name(&question.name);
    }

    /// A section, after `title` if it has any record.
    fn dns_records(&mut self, title: &str, records: Records<'_>) -> Printed {
        for (index, record) in records.enumerate() {
            show!(self.out, if index == 0 { title } else { "," });
            self.dns_record(&record.ok()?);
        }
        Some(())
    }

    fn dns_record(&mut self, record: &Record<'_>) {
        let kind = record.kind();
        if self.verbose() {
            show!(self.out, " ");
            self.name(&record.name());
        }
        if kind == RecordType::OPT {
            show!(self.out, " OPT UDPsize=", record.class());
            if record.ttl() & 0x8000 != 0 {
                show!(self.out, " DO");
            }
            return;
        }
        if record.class() & TOP_CLASS_BIT != 0 {
            show!(self.out, " (Cache flush)");
        }
        self.class(record.class() & !TOP_CLASS_BIT);
        if self.options.verbosity > 2 {
            show!(self.out, " [", record.ttl(), "s]");
        }
        self.record_type(kind);
        match record.data() {
            RecordData::A(address) => show!(self.out, " ", address.octets()),
            RecordData::Aaaa(address) => show!(self.out, " ", address.octets()),
            RecordData::Name(name) => {
                show!(self.out, " ");
                self.name(&name);
            }
            RecordData::Mx { preference, exchange } => {
                show!(self.out, " ");
                self.name(&exchange);
                show!(self.out, " ", preference);
            }
            RecordData::Srv { priority, weight, port, target } => {
                show!(self.out, " ");
                self.name(&target);
                show!(self.out, ":", port, " ", priority, " ", weight);
            }
            RecordData::Txt(strings) => {
                for string in strings {
                    show!(self.out, " \"");
                    self.caret(string);
                    show!(self.out, "\"");
                }
            }
            RecordData::Other(other) if self.verbose() => {
                use std::fmt::Write as _;
                show!(self.out, " ");
                // Writing to memory cannot fail.
                let _ = write!(super::printer::Adapter(self.out), "{}", RecordData::Other(other));
            }
            _ => {}
        }
    }

    fn record_type(&mut self, kind: RecordType) {
        match kind.mnemonic() {
            Some(name) => show!(self.out, " ", name),
            None => show!(self.out, " Type", kind.0),
        }
    }

    /// Every class but the Internet's.
    fn class(&mut self, class: u16) {
        match class {
            1 => {}
            3 => show!(self.out, " CHAOS"),
            4 => show!(self.out, " HS"),
            255 => show!(self.out, " ANY"),
            _ => show!(self.out, " (Class ", class, ")"),
        }
    }

    fn name(&mut self, name: &Name<'_>) {
        for label in name.labels() {
            self.caret(label);
            self.out.push(b'.');
        }
        if name.is_root() {
            self.out.push(b'.');
        }
    }
}
