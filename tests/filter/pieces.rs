//! An expression taken apart at its `and`, `or` and `not`, by its text alone: nothing of the grammar under test is used.

/// What an expression is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// As written, with the qualifiers that it leaves out (`443` of `tcp port 80 or 443`).
    Primitive(String),
    And(Box<Piece>, Box<Piece>),
    Or(Box<Piece>, Box<Piece>),
    Not(Box<Piece>),
}

impl Piece {
    /// Takes it apart; `None` where this is not up to it.
    pub(crate) fn of(expression: &str) -> Option<Self> {
        let mut reader = Reader { rest: expression, qualifiers: String::new() };
        let piece = reader.joined()?;
        reader.rest.trim().is_empty().then_some(piece)
    }

    /// Whether any of its primitives is such.
    pub(crate) fn any(&self, is: &dyn Fn(&str) -> bool) -> bool {
        match self {
            Self::Primitive(text) => is(text),
            Self::And(left, right) | Self::Or(left, right) => left.any(is) || right.any(is),
            Self::Not(piece) => piece.any(is),
        }
    }
}

/// Whether a primitive is one behind which everything is looked for elsewhere.
pub(crate) fn moves(primitive: &str) -> bool {
    matches!(word(primitive), "vlan" | "mpls" | "pppoes" | "geneve")
}

struct Reader<'t> {
    rest: &'t str,
    /// Of the primitive before.
    qualifiers: String,
}

impl Reader<'_> {
    /// Operands of `and` and `or`, which bind alike and from the left.
    fn joined(&mut self) -> Option<Piece> {
        let mut left = self.operand()?;
        loop {
            let both = |left, right| (Box::new(left), Box::new(right));
            if self.takes(&["and", "&&"]) {
                let (left_side, right) = both(left, self.operand()?);
                left = Piece::And(left_side, right);
            } else if self.takes(&["or", "||"]) {
                let (left_side, right) = both(left, self.operand()?);
                left = Piece::Or(left_side, right);
            } else {
                return Some(left);
            }
        }
    }

    fn operand(&mut self) -> Option<Piece> {
        if self.takes(&["not", "!"]) {
            return Some(Piece::Not(Box::new(self.operand()?)));
        }
        let text = self.rest.trim_start();
        if let Some(inside) = text.strip_prefix('(') {
            let end = closing(inside, ['(', ')'])?;
            if !calculates(&inside[end + 1..]) {
                let behind = &inside[end + 1..];
                let mut reader = Reader { rest: &inside[..end], qualifiers: self.qualifiers.clone() };
                let piece = reader.joined()?;
                if !reader.rest.trim().is_empty() {
                    return None;
                }
                (self.rest, self.qualifiers) = (behind, reader.qualifiers);
                return Some(piece);
            }
        }
        self.primitive()
    }

    /// Up to what joins it to the next one.
    fn primitive(&mut self) -> Option<Piece> {
        let text = self.rest.trim_start();
        let (mut at, mut before) = (0, "");
        while at < text.len() {
            let rest = &text[at..];
            let found = word(rest);
            if found.is_empty() {
                match rest.chars().next()? {
                    ')' => break,
                    opening @ ('(' | '[') => {
                        let pair = if opening == '(' { ['(', ')'] } else { ['[', ']'] };
                        at += 1 + closing(&rest[1..], pair)?;
                    }
                    '&' if rest.starts_with("&&") => break,
                    '|' if rest.starts_with("||") => break,
                    '<' | '>' if rest[1..].starts_with(['<', '>', '=']) => at += 1,
                    _ => {}
                }
                at += rest[..1].len();
                if !rest.starts_with(' ') {
                    before = "";
                }
                continue;
            }
            // `src or dst host`.
            if matches!(found, "and" | "or") && !matches!(before, "src" | "dst") {
                break;
            }
            (at, before) = (at + found.len(), found);
        }
        let (primitive, rest) = text.split_at(at);
        self.rest = rest;
        let primitive = primitive.trim();
        if primitive.is_empty() {
            return None;
        }
        if is_bare(primitive) && !self.qualifiers.is_empty() {
            return Some(Piece::Primitive(format!("{} {primitive}", self.qualifiers)));
        }
        self.qualifiers = primitive.rsplit_once(' ').map_or("", |(qualifiers, _)| qualifiers).to_owned();
        Some(Piece::Primitive(primitive.to_owned()))
    }

    fn takes(&mut self, words: &[&str]) -> bool {
        let text = self.rest.trim_start();
        let found = words.iter().find_map(|expected| {
            let rest = text.strip_prefix(expected)?;
            let ends = !expected.ends_with(char::is_alphabetic) || word(text) == *expected;
            (ends && !(*expected == "!" && rest.starts_with('='))).then_some(rest)
        });
        if let Some(rest) = found {
            self.rest = rest;
        }
        found.is_some()
    }
}

/// The letters and digits that a text begins with, and what stands between those of names and addresses.
fn word(text: &str) -> &str {
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || ".:_\\$/-".contains(c)));
    &text[..end.unwrap_or(text.len())]
}

/// Where the parenthesis or bracket closes that was opened before.
pub(crate) fn closing(text: &str, [open, close]: [char; 2]) -> Option<usize> {
    let mut depth = 0;
    text.char_indices().find_map(|(at, c)| {
        match c {
            _ if c == open => depth += 1,
            _ if c == close && depth == 0 => return Some(at),
            _ if c == close => depth -= 1,
            _ => {}
        }
        None
    })
}

/// Whether what follows a closing parenthesis makes a number of what is in it.
fn calculates(behind: &str) -> bool {
    let behind = behind.trim_start();
    behind.starts_with(['=', '<', '>', '+', '-', '*', '/', '%', '^'])
        || behind.starts_with("!=")
        || behind.starts_with(['&', '|']) && !behind.starts_with("&&") && !behind.starts_with("||")
}

/// Whether it is but a name or number, to which the qualifiers before it belong.
fn is_bare(primitive: &str) -> bool {
    !primitive.contains([' ', '[', '=', '<', '>']) && primitive.starts_with(|c: char| c.is_ascii_digit())
}

#[test]
fn pieces_are_what_is_joined() {
    let primitive = |text: &str| Piece::Primitive(text.to_owned());
    let and = |left, right| Piece::And(Box::new(left), Box::new(right));
    let or = |left, right| Piece::Or(Box::new(left), Box::new(right));
    let not = |piece| Piece::Not(Box::new(piece));
    let of = |text: &str| Piece::of(text).unwrap_or_else(|| panic!("{text}"));
    assert_eq!(of("vlan 5 or vlan 6"), or(primitive("vlan 5"), primitive("vlan 6")));
    assert_eq!(
        of("not tcp && ( ip or ! arp )"),
        and(not(primitive("tcp")), or(primitive("ip"), not(primitive("arp"))))
    );
    assert_eq!(
        of("a and b or c and d"),
        and(or(and(primitive("a"), primitive("b")), primitive("c")), primitive("d"))
    );
    assert_eq!(of("tcp port 80 or 443"), or(primitive("tcp port 80"), primitive("tcp port 443")));
    assert_eq!(
        of("host 10.0.0.1 and ( 10.0.0.2 or ip )"),
        and(primitive("host 10.0.0.1"), or(primitive("host 10.0.0.2"), primitive("ip")))
    );
    for whole in [
        "src or dst host 10.0.0.1",
        "((ip[2:2] - ((ip[0]&0xf)<<2)) - ((tcp[12]&0xf0)>>2)) != 0",
        "tcp[(tcp[12] & 0xf0) >> 2:4] >= 0x1 << 2",
        "ip[ip[ip[0] & 3]] + tcp[(12)] = 2",
        "ether host 00:11:22:33:44:55",
        "port (80 or 443)",
        "(ip[0] & 1) | 2 = (ip[1] | 3)",
    ] {
        assert_eq!(of(whole), primitive(whole));
        assert_eq!(of(&format!("( {whole} )")), primitive(whole));
        assert_eq!(of(&format!("!({whole}) and tcp")), and(not(primitive(whole)), primitive("tcp")));
    }
    for none in ["( tcp", "tcp )", "", "and tcp", "tcp and"] {
        assert_eq!(Piece::of(none), None, "{none}");
    }
    assert!(moves("vlan 5") && moves("geneve") && !moves("pppoed") && !moves("vlanid"));
}
