//! Text to tokens, as libpcap 1.10.3's scanner splits it.

use super::error::{Fault, Span};
use std::net::Ipv6Addr;

/// Bytes of the longest expression that is read.
pub(super) const LONGEST: usize = 256 << 10;

/// A token and where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token<'a> {
    pub(super) kind: Kind<'a>,
    pub(super) span: Span,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind<'a> {
    /// A keyword or a name.
    Word(&'a str),
    /// A name that may look like a keyword: `\tcp`.
    Escaped(&'a str),
    Number(u32),
    /// `10.1`, `192.0.2.1`.
    Dotted(&'a str),
    Ether([u8; 6]),
    /// `$1f`.
    Arcnet(u8),
    Ip6(Ipv6Addr),
    And,
    Or,
    Not,
    Open,
    Close,
    OpenBracket,
    CloseBracket,
    Colon,
    Plus,
    Minus,
    Star,
    Slash,
    Percent,
    Ampersand,
    Bar,
    Caret,
    ShiftLeft,
    ShiftRight,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Equal,
    NotEqual,
    End,
}

/// Signs, those that begin with another before it.
const SIGNS: [(&str, Kind<'static>); 25] = [
    ("&&", Kind::And),
    ("||", Kind::Or),
    ("<<", Kind::ShiftLeft),
    (">>", Kind::ShiftRight),
    ("<=", Kind::LessOrEqual),
    (">=", Kind::GreaterOrEqual),
    ("!=", Kind::NotEqual),
    ("==", Kind::Equal),
    ("<", Kind::Less),
    (">", Kind::Greater),
    ("=", Kind::Equal),
    ("!", Kind::Not),
    ("(", Kind::Open),
    (")", Kind::Close),
    ("[", Kind::OpenBracket),
    ("]", Kind::CloseBracket),
    (":", Kind::Colon),
    ("+", Kind::Plus),
    ("-", Kind::Minus),
    ("*", Kind::Star),
    ("/", Kind::Slash),
    ("%", Kind::Percent),
    ("&", Kind::Ampersand),
    ("|", Kind::Bar),
    ("^", Kind::Caret),
];

/// All tokens, the last of them [`Kind::End`].
pub(super) fn tokens(text: &str) -> Result<Vec<Token<'_>>, Fault> {
    if text.len() > LONGEST {
        let reason = format!("an expression of {} bytes: at most {LONGEST} are read", text.len());
        return Err(Fault::new(Span::new(LONGEST, LONGEST), reason));
    }
    let mut tokens = Vec::with_capacity(text.len() / 4);
    let mut at = 0;
    while let Some(first) = text[at..].chars().next() {
        if matches!(first, ' ' | '\t' | '\r' | '\n') {
            at += 1;
            continue;
        }
        let (kind, length) = one(text, at, first)?;
        tokens.push(Token { kind, span: Span::new(at, at + length) });
        at += length;
    }
    tokens.push(Token { kind: Kind::End, span: Span::new(at, at) });
    Ok(tokens)
}

/// The token that begins here, and its length.
fn one(text: &str, at: usize, first: char) -> Result<(Kind<'_>, usize), Fault> {
    let rest = &text[at..];
    match first {
        'a'..='z' | 'A'..='Z' | '0'..='9' | ':' => {
            if let Some(found) = colons(rest, at)? {
                return Ok(found);
            }
        }
        '\\' => {
            let name = &rest[1..];
            let name = &name[..name.find([' ', '!', '(', ')', '\n', '\t', '\r']).unwrap_or(name.len())];
            return match name.is_empty() {
                true => Err(Fault::new(Span::new(at, at + 1), "expected a name behind `\\`")),
                false => Ok((Kind::Escaped(name), 1 + name.len())),
            };
        }
        '$' => {
            let digits = run(&rest[1..], |c| c.is_ascii_hexdigit());
            return match u8::from_str_radix(digits, 16) {
                Ok(address) => Ok((Kind::Arcnet(address), 1 + digits.len())),
                Err(_) => {
                    let span = Span::new(at, at + 1 + digits.len());
                    Err(Fault::new(span, "expected an ARCNET address: `$` and one or two hexadecimal digits"))
                }
            };
        }
        _ => {}
    }
    if first.is_ascii_alphanumeric() {
        let word = run(rest, |c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
        let word = word.trim_end_matches(['-', '_']);
        return Ok((word_kind(word, at)?, word.len()));
    }
    match SIGNS.iter().find(|(sign, _)| rest.starts_with(sign)) {
        Some((sign, kind)) => Ok((*kind, sign.len())),
        None => {
            let span = Span::new(at, at + first.len_utf8());
            let quote = matches!(first, '"' | '\'' | '`' | '\u{201c}' | '\u{201d}' | '\u{2018}' | '\u{2019}');
            let fault = Fault::new(span, format!("no expression has `{}` in it", first.escape_default()));
            Err(if quote { fault.hint("leave the quotes to the shell") } else { fault })
        }
    }
}

fn run(text: &str, belongs: impl Fn(char) -> bool) -> &str {
    &text[..text.find(|c| !belongs(c)).unwrap_or(text.len())]
}

/// Addresses with colons: Ethernet's and IPv6's. `6:2` is none, it stands in brackets.
fn colons(rest: &str, at: usize) -> Result<Option<(Kind<'_>, usize)>, Fault> {
    let text = run(rest, |c| c.is_ascii_hexdigit() || matches!(c, ':' | '.'));
    // A name that begins like an address.
    let goes_on = rest[text.len()..].starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
    if text.bytes().filter(|byte| *byte == b':').count() < 2 || goes_on {
        return Ok(None);
    }
    if let Some(address) = ether(text.split(':'), 6) {
        return Ok(Some((Kind::Ether(address), text.len())));
    }
    match text.parse() {
        Ok(address) => Ok(Some((Kind::Ip6(address), text.len()))),
        Err(_) => Err(Fault::new(
            Span::new(at, at + text.len()),
            format!("`{text}` is no IPv6 and no Ethernet address"),
        )),
    }
}

/// Six bytes in so many groups of hexadecimal digits.
fn ether<'t>(groups: impl Iterator<Item = &'t str>, count: usize) -> Option<[u8; 6]> {
    let (mut address, mut seen) = (0_u64, 0);
    let digits = 12 / count;
    for group in groups {
        // Single bytes may leave out a leading 0.
        let whole = if count == 6 { (1..=2).contains(&group.len()) } else { group.len() == digits };
        if !whole || !group.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        address = address << (digits * 4) | u64::from_str_radix(group, 16).ok()?;
        seen += 1;
        if seen > count {
            return None;
        }
    }
    let [_, _, bytes @ ..] = address.to_be_bytes();
    (seen == count).then_some(bytes)
}

/// What letters, digits, `-`, `_` and `.` stand for.
fn word_kind(word: &str, at: usize) -> Result<Kind<'_>, Fault> {
    match word {
        "and" => return Ok(Kind::And),
        "or" => return Ok(Kind::Or),
        "not" => return Ok(Kind::Not),
        _ => {}
    }
    if is_number(word) {
        return number(word)
            .map(Kind::Number)
            .map_err(|reason| Fault::new(Span::new(at, at + word.len()), reason));
    }
    let groups = word.split('.').count();
    if (2..=4).contains(&groups) && word.split('.').all(is_number) {
        return Ok(Kind::Dotted(word));
    }
    let address = ether(word.split('-'), 6)
        .or_else(|| ether(word.split('.'), 6))
        .or_else(|| ether(word.split('.'), 3))
        .or_else(|| ether(std::iter::once(word), 1));
    Ok(address.map_or(Kind::Word(word), Kind::Ether))
}

fn is_number(word: &str) -> bool {
    match word.strip_prefix("0x").or_else(|| word.strip_prefix("0X")) {
        Some(digits) => !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit()),
        None => !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit()),
    }
}

/// As C writes numbers: decimal, `0x1f`, and `017` for 15.
fn number(word: &str) -> Result<u32, String> {
    let (digits, radix) = match word.as_bytes() {
        [b'0', b'x' | b'X', ..] => (&word[2..], 16),
        [b'0', _, ..] => (&word[1..], 8),
        _ => (word, 10),
    };
    if radix == 8 && digits.bytes().any(|byte| byte > b'7') {
        return Err(format!(
            "`{}` begins with 0, which makes it octal, and has a digit above 7",
            shortened(word)
        ));
    }
    u32::from_str_radix(digits, radix)
        .map_err(|_| format!("`{}` is beyond 32 bits: at most {}", shortened(word), u32::MAX))
}

/// What fits into an error.
pub(super) fn shortened(word: &str) -> String {
    match word.char_indices().nth(40) {
        Some((end, _)) => format!("{}...", &word[..end]),
        None => word.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(text: &str) -> Vec<Kind<'_>> {
        let tokens = tokens(text).unwrap();
        tokens.iter().map(|token| token.kind).filter(|kind| *kind != Kind::End).collect()
    }

    #[test]
    fn words_numbers_and_addresses() {
        use Kind::*;
        let ether = [0xaa, 0xbb, 0xc, 0xdd, 0xee, 0xff];
        for (text, expected) in [
            ("tcp[6:2]", vec![Word("tcp"), OpenBracket, Number(6), Colon, Number(2), CloseBracket]),
            ("0x1F 017 0", vec![Number(31), Number(15), Number(0)]),
            ("10.1 192.0.2.1", vec![Dotted("10.1"), Dotted("192.0.2.1")]),
            ("aa:bb:c:dd:ee:ff", vec![Ether(ether)]),
            ("aa-bb-0c-dd-ee-ff", vec![Ether(ether)]),
            ("aa.bb.0c.dd.ee.ff", vec![Ether(ether)]),
            ("aabb.0cdd.eeff", vec![Ether(ether)]),
            ("aabb0cddeeff", vec![Ether(ether)]),
            ("::1", vec![Ip6(Ipv6Addr::LOCALHOST)]),
            ("2001:db8::/32", vec![Ip6("2001:db8::".parse().unwrap()), Slash, Number(32)]),
            ("::ffff:192.0.2.1", vec![Ip6("::ffff:192.0.2.1".parse().unwrap())]),
            ("80-90", vec![Word("80-90")]),
            ("tcp-syn|tcp-ack", vec![Word("tcp-syn"), Bar, Word("tcp-ack")]),
            ("foo-bar- ", vec![Word("foo-bar"), Minus]),
            (r"\ip and !\tcp", vec![Escaped("ip"), And, Not, Escaped("tcp")]),
            ("a&&b||c", vec![Word("a"), And, Word("b"), Or, Word("c")]),
            ("1<<2>=3", vec![Number(1), ShiftLeft, Number(2), GreaterOrEqual, Number(3)]),
            ("$1f", vec![Arcnet(0x1f)]),
            ("feed.example", vec![Word("feed.example")]),
        ] {
            assert_eq!(kinds(text), expected, "{text}");
        }
    }

    #[test]
    fn faults_name_their_place() {
        for (text, from, reason) in [
            ("tcp ; udp", 4, "no expression has `;` in it"),
            ("port 99999999999", 5, "`99999999999` is beyond 32 bits: at most 4294967295"),
            ("vlan 089", 5, "`089` begins with 0, which makes it octal, and has a digit above 7"),
            ("host 1:2:3", 5, "`1:2:3` is no IPv6 and no Ethernet address"),
            ("proto \\ 3", 6, "expected a name behind `\\`"),
            ("_tcp", 0, "no expression has `_` in it"),
            ("é", 0, "no expression has `\\u{e9}` in it"),
        ] {
            let fault = tokens(text).expect_err(text);
            assert_eq!((fault.span.from, fault.reason.as_str()), (from, reason), "{text}");
        }
    }
}
