//! Port rules as text.

use crate::filter::Filter;
use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

/// Which packets go to an output.
///
/// ```text
/// rule     = "rest" | protocol "/" ports | filter
/// protocol = "tcp" | "udp" | "sctp" | "any"
/// ports    = range { "," range }
/// range    = port [ "-" port ]                      port: 0 to 65535
/// ```
///
/// `udp` covers UDP-Lite, which shares its port numbers (RFC 3828 section 6); `any` is all three. Anything else is an
/// expression as [`filter`](crate::filter) reads it.
///
/// ```
/// use wharf::demux::Rule;
/// let rule: Rule = "tcp/80,443,8080-8090".parse()?;
/// assert_eq!(rule.to_string(), "tcp/80,443,8080-8090");
/// assert!(matches!("tcp port 443 and net 10.0.0.0/8".parse()?, Rule::Filter(_)));
///
/// let error = "tcp/80,http".parse::<Rule>().unwrap_err();
/// assert_eq!(error.to_string(), "port rule `tcp/80,http`, column 8: expected a port from 0 to 65535, found `http`");
/// # Ok::<(), wharf::demux::RuleError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rule {
    /// Packets that use one of these ports, at either end.
    Ports(Ports),
    /// Packets that match.
    Filter(Filter),
    /// Every packet that no other rule names.
    Rest,
}

/// A protocol and the ports in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ports {
    /// Whose ports.
    pub protocol: Protocol,
    /// Ranges in the order written; each has its start no greater than its end. They may overlap.
    pub ranges: Vec<RangeInclusive<u16>>,
}

/// A protocol that has ports, as rules name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// RFC 9293.
    Tcp,
    /// RFC 768, and UDP-Lite (RFC 3828).
    Udp,
    /// RFC 9260.
    Sctp,
    /// All of the others.
    Any,
}

impl Protocol {
    const NAMES: [(&'static str, Self); 4] =
        [("tcp", Self::Tcp), ("udp", Self::Udp), ("sctp", Self::Sctp), ("any", Self::Any)];

    fn name(self) -> &'static str {
        Self::NAMES.into_iter().find(|(_, protocol)| *protocol == self).map_or("", |(name, _)| name)
    }
}

/// Where and why a rule's text could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("port rule `{rule}`, column {column}: {reason}")]
pub struct RuleError {
    /// The whole rule as given.
    pub rule: String,
    /// Where in it, in characters counted from 1.
    pub column: usize,
    /// What was expected there and what was found.
    pub reason: String,
}

impl FromStr for Rule {
    type Err = RuleError;

    fn from_str(text: &str) -> Result<Self, RuleError> {
        let cursor = Cursor { text, at: 0 };
        if text.eq_ignore_ascii_case("rest") {
            return Ok(Self::Rest);
        }
        if is_ports(text) {
            return cursor.ports().map(Self::Ports);
        }
        match text.parse() {
            Ok(filter) => Ok(Self::Filter(filter)),
            // No filter, and clear what it is meant for.
            Err(_) if is_number(text) => {
                let reason = format!("a protocol stands before ports: tcp/{text}, udp/{text} or any/{text}");
                Err(RuleError { rule: text.to_owned(), column: 1, reason })
            }
            Err(error) => Err(RuleError::of_filter(text, &error)),
        }
    }
}

/// Whether it is meant for a protocol and ports, right or wrong: no filter begins with a word and a slash.
fn is_ports(text: &str) -> bool {
    let behind = text.trim_start_matches(|c: char| c.is_alphanumeric());
    text.trim().is_empty() || behind.starts_with('/')
}

/// Whether there are ports alone.
fn is_number(text: &str) -> bool {
    let digits = text.chars().all(|c| c.is_ascii_digit() || ",-".contains(c));
    digits && text.starts_with(|c: char| c.is_ascii_digit())
}

impl RuleError {
    fn of_filter(text: &str, error: &crate::filter::Error) -> Self {
        let hint = error.hint().map_or(String::new(), |hint| format!(" ({hint})"));
        let line = text.lines().take(error.line() - 1).map(|line| line.chars().count() + 1).sum::<usize>();
        Self {
            rule: text.to_owned(),
            column: line + error.column(),
            reason: error.reason().to_owned() + &hint,
        }
    }
}

/// The text of a rule and how far it has been read.
struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Cursor<'a> {
    fn ports(mut self) -> Result<Ports, RuleError> {
        let word = self.word();
        let Some((_, protocol)) =
            Protocol::NAMES.into_iter().find(|(name, _)| word.eq_ignore_ascii_case(name))
        else {
            return Err(self.expected("`tcp`, `udp`, `sctp`, `any` or `rest`"));
        };
        self.at += word.len();
        if !self.eat('/') {
            return Err(self.expected("`/` and ports, such as `/443` or `/0-65535` for all"));
        }
        let mut ranges = vec![self.range()?];
        while self.eat(',') {
            ranges.push(self.range()?);
        }
        if self.at < self.text.len() {
            return Err(self.expected("`,`, `-` or the end of the rule"));
        }
        Ok(Ports { protocol, ranges })
    }

    fn range(&mut self) -> Result<RangeInclusive<u16>, RuleError> {
        let first = self.port()?;
        if !self.eat('-') {
            return Ok(first..=first);
        }
        let second_at = self.at;
        let last = self.port()?;
        if last < first {
            self.at = second_at;
            return Err(self.fault(format!("the range ends at {last}, below its start {first}")));
        }
        Ok(first..=last)
    }

    fn port(&mut self) -> Result<u16, RuleError> {
        let word = self.word();
        // `u16::from_str` would take a leading `+`.
        let port = word.bytes().all(|byte| byte.is_ascii_digit()).then(|| word.parse().ok()).flatten();
        let port = port.ok_or_else(|| self.expected("a port from 0 to 65535"))?;
        self.at += word.len();
        Ok(port)
    }

    fn eat(&mut self, wanted: char) -> bool {
        let found = self.text[self.at..].starts_with(wanted);
        if found {
            self.at += wanted.len_utf8();
        }
        found
    }

    /// What stands here up to the next separator.
    fn word(&self) -> &'a str {
        let rest = &self.text[self.at..];
        &rest[..rest.find(['/', ',', '-']).unwrap_or(rest.len())]
    }

    fn expected(&self, what: &str) -> RuleError {
        let word = self.word();
        self.fault(match (word.is_empty(), self.text[self.at..].chars().next()) {
            (false, _) => format!("expected {what}, found `{word}`"),
            (true, Some(separator)) => format!("expected {what}, found `{separator}`"),
            (true, None) => format!("expected {what}, found the end of the rule"),
        })
    }

    fn fault(&self, reason: String) -> RuleError {
        let column = self.text[..self.at].chars().count() + 1;
        RuleError { rule: self.text.to_owned(), column, reason }
    }
}

/// In the notation that [`FromStr`] reads.
impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Ports { protocol, ranges } = match self {
            Self::Ports(ports) => ports,
            Self::Filter(filter) => return f.write_str(filter.text()),
            Self::Rest => return f.write_str("rest"),
        };
        f.write_str(protocol.name())?;
        for (index, range) in ranges.iter().enumerate() {
            write!(f, "{}{}", if index == 0 { '/' } else { ',' }, range.start())?;
            if range.start() != range.end() {
                write!(f, "-{}", range.end())?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_every_form() {
        let ports = |protocol, ranges: &[RangeInclusive<u16>]| {
            Rule::Ports(Ports { protocol, ranges: ranges.to_vec() })
        };
        assert_eq!("tcp/443".parse(), Ok(ports(Protocol::Tcp, &[443..=443])));
        assert_eq!("UDP/5000-5999".parse(), Ok(ports(Protocol::Udp, &[5000..=5999])));
        assert_eq!("sctp/0,65535".parse(), Ok(ports(Protocol::Sctp, &[0..=0, 65535..=65535])));
        assert_eq!("any/53,80-81".parse(), Ok(ports(Protocol::Any, &[53..=53, 80..=81])));
        assert_eq!("rest".parse(), Ok(Rule::Rest));
    }

    #[test]
    fn errors_point_at_the_column() {
        for (text, column, reason) in [
            ("", 1, "expected `tcp`, `udp`, `sctp`, `any` or `rest`, found the end of the rule"),
            ("icmp/3", 1, "expected `tcp`, `udp`, `sctp`, `any` or `rest`, found `icmp`"),
            (
                "tcp and tpc",
                9,
                "expected a primitive, such as `tcp`, `host NAME`, `port NUMBER`, or a value to compare, found `tpc` (did you mean `tcp`?)",
            ),
            ("tcp/", 5, "expected a port from 0 to 65535, found the end of the rule"),
            ("tcp/80,", 8, "expected a port from 0 to 65535, found the end of the rule"),
            ("tcp/,80", 5, "expected a port from 0 to 65535, found `,`"),
            ("tcp/65536", 5, "expected a port from 0 to 65535, found `65536`"),
            ("tcp/+80", 5, "expected a port from 0 to 65535, found `+80`"),
            ("tcp/90-80", 8, "the range ends at 80, below its start 90"),
            ("tcp/1-2-3", 8, "expected `,`, `-` or the end of the rule, found `-`"),
            ("tcp/80 ", 5, "expected a port from 0 to 65535, found `80 `"),
            ("tcp/80,é", 8, "expected a port from 0 to 65535, found `é`"),
        ] {
            let error = text.parse::<Rule>().expect_err(text);
            assert_eq!((error.column, error.reason.as_str()), (column, reason), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_rule_or_an_error_within_it(text in "[tcpudany/0-9,-é ]{0,20}") {
            match text.parse::<Rule>() {
                Ok(rule) => prop_assert_eq!(rule.to_string().parse(), Ok(rule)),
                Err(error) => prop_assert!((1..=text.chars().count() + 1).contains(&error.column)),
            }
        }
    }
}
