//! Names as routes write them, and what they match.

use std::fmt;
use std::str::FromStr;

/// A name, or a pattern of names: `example.org`, `*.example.org` (every name below it, however deep, but not
/// itself) or `*` (any). Case does not matter, nor does a dot at the end.
///
/// ```
/// use wharf::proxy::detect::NamePattern;
/// let pattern: NamePattern = "*.Example.org".parse()?;
/// assert!(pattern.matches("www.example.org") && pattern.matches("a.b.EXAMPLE.org."));
/// assert!(!pattern.matches("example.org") && !pattern.matches("badexample.org"));
/// # Ok::<(), wharf::proxy::detect::PatternError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamePattern {
    /// In lower case, without a final dot; with the dot in front where it stands for what is below.
    name: Box<str>,
    below: bool,
}

/// An application protocol as routes write it: `h2`, `http/*` (all that begin so) or `*` (any). Case matters
/// (RFC 7301 section 6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProtocolPattern {
    text: Box<str>,
    prefix: bool,
}

/// Why a text is no pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no pattern: {reason}")]
pub struct PatternError {
    /// As given.
    pub text: String,
    /// What is wrong, and what would be right.
    pub reason: &'static str,
}

impl NamePattern {
    /// Whether a name is meant.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        let (name, own) = (name.strip_suffix('.').unwrap_or(name).as_bytes(), self.name.as_bytes());
        match self.below {
            // `*`: any, and with a dot in front at least a byte before it.
            true => {
                let Some(front) = name.len().checked_sub(own.len()) else { return false };
                (front > 0 || own.is_empty()) && name[front..].eq_ignore_ascii_case(own)
            }
            false => name.eq_ignore_ascii_case(own),
        }
    }
}

impl FromStr for NamePattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        let error = |reason| Err(PatternError { text: text.to_owned(), reason });
        let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        let (name, below) = match name.strip_prefix('*') {
            Some(rest) => (rest.to_owned(), true),
            None => (name, false),
        };
        if below && !name.is_empty() && !name.starts_with('.') {
            return error("a star stands for whole labels at the front, as in *.example.org");
        }
        let labels = name.strip_prefix('.').filter(|_| below).unwrap_or(&name);
        // Underscores occur in names, though not in those of hosts.
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        let good = |label: &str| (1..=63).contains(&label.len()) && label.bytes().all(allowed);
        if labels.contains('*') {
            return error("only one star, at the front, as in *.example.org");
        }
        if !(below && name.is_empty()) && (labels.len() > 253 || !labels.split('.').all(good)) {
            return error(
                "write a host name in ASCII (xn--… for others), *.NAME for all below it, or * for any",
            );
        }
        Ok(Self { name: name.into(), below })
    }
}

/// In the notation that [`FromStr`] reads.
impl fmt::Display for NamePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", if self.below { "*" } else { "" }, self.name)
    }
}

impl ProtocolPattern {
    /// Whether a protocol is meant.
    #[must_use]
    pub fn matches(&self, protocol: &[u8]) -> bool {
        match self.prefix {
            true => protocol.starts_with(self.text.as_bytes()),
            false => protocol == self.text.as_bytes(),
        }
    }
}

impl FromStr for ProtocolPattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        let (name, prefix) = match text.strip_suffix('*') {
            Some(name) => (name, true),
            None => (text, false),
        };
        let graphic = name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'*');
        if text.is_empty() || name.len() > 255 || !graphic {
            let reason = "write a protocol as ALPN names it, such as h2 or http/1.1; a star at the end for all that begin so";
            return Err(PatternError { text: text.to_owned(), reason });
        }
        Ok(Self { text: name.into(), prefix })
    }
}

/// In the notation that [`FromStr`] reads.
impl fmt::Display for ProtocolPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.text, if self.prefix { "*" } else { "" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_match_whole_labels() {
        for (pattern, yes, no) in [
            (
                "example.org",
                &["example.org", "EXAMPLE.ORG", "example.org."][..],
                &["a.example.org", "example.or", ""][..],
            ),
            (
                "*.example.org",
                &["a.example.org", "a.b.example.ORG"],
                &["example.org", ".example.org", "xexample.org", "org"],
            ),
            ("*", &["a", "a.b", ""], &[]),
            ("Example.Org.", &["example.org"], &["example.org.."]),
        ] {
            let parsed: NamePattern = pattern.parse().expect(pattern);
            for name in yes {
                assert!(parsed.matches(name), "{name} for {pattern}");
            }
            for name in no {
                assert!(!parsed.matches(name), "{name} for {pattern}");
            }
        }
    }

    #[test]
    fn protocols_match_whole_or_by_their_beginning() {
        let matches = |pattern: &str, protocol: &str| {
            pattern.parse::<ProtocolPattern>().expect(pattern).matches(protocol.as_bytes())
        };
        assert!(matches("h2", "h2") && matches("http/*", "http/1.1") && matches("*", "x"));
        assert!(!matches("h2", "h2c") && !matches("http/*", "http") && !matches("h2", "H2"));
    }

    #[test]
    fn what_is_no_pattern_is_refused_and_the_rest_read_back() {
        for text in ["", ".", "a..b", "*a", "a.*", "*.*.a", "a b", "ü.org", ".a", "*.", &"a".repeat(64)] {
            assert!(text.parse::<NamePattern>().is_err() || text == "*.", "{text:?}");
        }
        for text in ["a", "*.a.b", "*", "_a.b-c"] {
            assert_eq!(text.parse::<NamePattern>().map(|pattern| pattern.to_string()).as_deref(), Ok(text));
        }
        for text in ["", "a b", "**", "*a"] {
            assert!(text.parse::<ProtocolPattern>().is_err(), "{text:?}");
        }
        for text in ["h2", "http/*", "*"] {
            assert_eq!(
                text.parse::<ProtocolPattern>().map(|pattern| pattern.to_string()).as_deref(),
                Ok(text)
            );
        }
    }
}
