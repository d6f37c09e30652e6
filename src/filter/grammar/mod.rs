//! Tokens to a tree, by libpcap 1.10.3's grammar.
//!
//! ```text
//! expression = term { ( "and" | "or" ) term }              equal in precedence, from left to right
//! term       = "not" term | "(" expression ")" | value relation value | primitive | id
//! ```
//!
//! An id alone has the qualifiers of the primitive before it: `port 80 or 443`. What stands in parentheses does not
//! change those for what comes behind them.

mod arithmetic;
mod id;
mod primitive;
mod qualified;

use super::ast::{Arithmetic, Direction, Node, Protocol};
use super::error::{Fault, Span, closest};
use super::lexer::{Kind, Token, shortened, tokens};
use super::names::Names;
use super::words::{Keyword, keyword, keywords};

/// How deep an expression may be nested; so deep are the trees that are walked later.
pub(super) const DEEPEST: usize = 200;

/// What was said of an id before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Qualifiers {
    protocol: Option<Protocol>,
    direction: Direction,
    kind: Sort,
}

/// What an id names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Sort {
    /// Not said: a host.
    #[default]
    Default,
    Host,
    Net,
    Port,
    PortRange,
    Proto,
    ProtoChain,
    Gateway,
}

/// What has been read, and how deep its tree is.
struct Read {
    item: Item,
    span: Span,
    height: usize,
}

enum Item {
    Test(Node),
    /// A number to be compared; one that stands alone may be an id.
    Value(Arithmetic),
}

/// The tree of an expression, or none of an empty one.
pub(super) fn parse(text: &str, names: &mut Names) -> Result<Option<Node>, Fault> {
    let tokens = tokens(text)?;
    let mut parser = Parser { text, tokens: &tokens, at: 0, depth: 0, carried: None, names };
    if parser.peek() == Kind::End {
        return Ok(None);
    }
    let read = parser.expression()?;
    let (node, _) = parser.test(read)?;
    match parser.peek() {
        Kind::End => Ok(Some(node)),
        Kind::Close => Err(parser.fault("a `)` without a `(` before it")),
        _ => Err(parser.expected("`and`, `or` or the end")),
    }
}

struct Parser<'t, 'n> {
    text: &'t str,
    tokens: &'t [Token<'t>],
    at: usize,
    /// Of the recursion.
    depth: usize,
    /// For an id without qualifiers of its own.
    carried: Option<Qualifiers>,
    names: &'n mut Names,
}

impl<'t> Parser<'t, '_> {
    fn token(&self) -> Token<'t> {
        self.tokens[self.at]
    }

    fn peek(&self) -> Kind<'t> {
        self.token().kind
    }

    fn peek_second(&self) -> Kind<'t> {
        self.tokens.get(self.at + 1).map_or(Kind::End, |token| token.kind)
    }

    /// The keyword that stands here.
    fn keyword(&self) -> Option<Keyword> {
        match self.peek() {
            Kind::Word(word) => keyword(word),
            _ => None,
        }
    }

    fn advance(&mut self) -> Token<'t> {
        let token = self.token();
        // The last token, the end, is not left.
        self.at = (self.at + 1).min(self.tokens.len() - 1);
        token
    }

    fn eat(&mut self, kind: Kind<'_>) -> bool {
        let found = self.peek() == kind;
        if found {
            self.advance();
        }
        found
    }

    fn fault(&self, reason: impl Into<String>) -> Fault {
        Fault::new(self.token().span, reason)
    }

    /// Something else was expected here than what is found.
    fn expected(&self, what: &str) -> Fault {
        let Token { kind, span } = self.token();
        if kind == Kind::End {
            return self.fault(format!("expected {what}, found the end"));
        }
        let fault =
            self.fault(format!("expected {what}, found `{}`", shortened(&self.text[span.from..span.to])));
        match kind {
            Kind::Word(word) if keyword(word).is_none() => fault.suggest(closest(word, keywords())),
            _ => fault,
        }
    }

    /// One level further down, as long as there is one.
    fn deeper<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, Fault>) -> Result<T, Fault> {
        if self.depth == DEEPEST {
            return Err(self.too_deep());
        }
        self.depth += 1;
        let result = read(self);
        self.depth -= 1;
        result
    }

    fn too_deep(&self) -> Fault {
        self.fault(format!("nested more than {DEEPEST} deep"))
    }

    fn checked(&self, height: usize) -> Result<usize, Fault> {
        if height > DEEPEST { Err(self.too_deep()) } else { Ok(height) }
    }

    /// Terms joined by `and` and `or`; one alone may be a value.
    fn expression(&mut self) -> Result<Read, Fault> {
        let mut left = self.term()?;
        while let kind @ (Kind::And | Kind::Or) = self.peek() {
            let (first, first_height) = self.test(left)?;
            let from = self.advance().span;
            let right = self.term()?;
            let span = from.until(right.span);
            let (second, second_height) = self.test(right)?;
            let (node, height) = match (first, kind) {
                (Node::All(mut nodes), Kind::And) => {
                    nodes.push(second);
                    (Node::All(nodes), first_height.max(second_height + 1))
                }
                (Node::Any(mut nodes), Kind::Or) => {
                    nodes.push(second);
                    (Node::Any(nodes), first_height.max(second_height + 1))
                }
                (first, Kind::And) => (Node::All(vec![first, second]), 1 + first_height.max(second_height)),
                (first, _) => (Node::Any(vec![first, second]), 1 + first_height.max(second_height)),
            };
            left = Read { item: Item::Test(node), span, height: self.checked(height)? };
        }
        Ok(left)
    }

    fn term(&mut self) -> Result<Read, Fault> {
        if self.peek() != Kind::Not {
            return self.relation();
        }
        let from = self.advance().span;
        let read = self.deeper(Self::term)?;
        let span = from.until(read.span);
        let (node, height) = self.test(read)?;
        Ok(Read { item: Item::Test(Node::Not(Box::new(node))), span, height: self.checked(height + 1)? })
    }

    /// What was read, as a test: a number alone is an id if there are qualifiers for it.
    fn test(&mut self, read: Read) -> Result<(Node, usize), Fault> {
        let Read { item, span, height } = read;
        match (item, self.carried) {
            (Item::Test(node), _) => Ok((node, height)),
            (Item::Value(Arithmetic::Number(number)), Some(qualifiers)) => {
                Ok((self.number_id(number, qualifiers, span)?, height))
            }
            (Item::Value(Arithmetic::Number(_)), None) => {
                let fault = Fault::new(span, "a number alone says nothing: of a host, a port, a length?");
                Err(fault.hint("such as `port 80`, or `len > 80`"))
            }
            (Item::Value(_), _) => {
                let fault = Fault::new(span, "a value is to be compared with another");
                Err(fault.hint("such as `!= 0` behind it"))
            }
        }
    }

    /// `( ... )`, in which ids have the qualifiers of before.
    fn parentheses(&mut self) -> Result<Read, Fault> {
        let open = self.advance().span;
        let carried = self.carried;
        let read = self.deeper(Self::expression)?;
        if self.peek() != Kind::Close {
            let fault = self.expected("`and`, `or` or `)`");
            return Err(if fault.hint.is_none() && self.peek() == Kind::End {
                let open = Fault::new(open, "a `(` that is not closed");
                Fault { span: open.span, ..open }
            } else {
                fault
            });
        }
        let span = open.until(self.advance().span);
        // A value stays one; a number may be an id of those before.
        let read = match read.item {
            Item::Value(_) => Read { span, ..read },
            Item::Test(_) => Read { span, height: self.checked(read.height)?, ..read },
        };
        self.carried = carried;
        Ok(read)
    }
}

#[cfg(test)]
mod tests;
