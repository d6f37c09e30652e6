//! Values and comparisons.
//!
//! From loose to tight: `|`, `&`, shifts, `+` and `-`, `*` and `/`, `-` before a value. `^` and `%` are as libpcap has
//! them: they take whatever stands to their right as far as it goes, so that `ip[0] % 3 + 1` is `ip[0] % (3 + 1)`.

use super::{Item, Parser, Read};
use crate::filter::ast::{Arithmetic, Node, Operator, Protocol, Relation};
use crate::filter::error::{Fault, Span, closest};
use crate::filter::lexer::Kind;
use crate::filter::words::{Keyword, named_numbers};

/// Binds tighter than any operator.
const TIGHTEST: u8 = 6;

/// The operator that stands for itself, and how tight it binds.
fn operator(kind: Kind<'_>) -> Option<(Operator, u8)> {
    Some(match kind {
        Kind::Bar => (Operator::Or, 1),
        Kind::Ampersand => (Operator::And, 2),
        Kind::ShiftLeft => (Operator::ShiftLeft, 3),
        Kind::ShiftRight => (Operator::ShiftRight, 3),
        Kind::Plus => (Operator::Add, 4),
        Kind::Minus => (Operator::Subtract, 4),
        Kind::Star => (Operator::Multiply, 5),
        Kind::Slash => (Operator::Divide, 5),
        Kind::Caret => (Operator::Xor, TIGHTEST),
        Kind::Percent => (Operator::Remainder, TIGHTEST),
        _ => return None,
    })
}

fn relation(kind: Kind<'_>) -> Option<Relation> {
    Some(match kind {
        Kind::Equal => Relation::Equal,
        Kind::NotEqual => Relation::NotEqual,
        Kind::Less => Relation::Less,
        Kind::LessOrEqual => Relation::LessOrEqual,
        Kind::Greater => Relation::Greater,
        Kind::GreaterOrEqual => Relation::GreaterOrEqual,
        _ => return None,
    })
}

impl Parser<'_, '_> {
    /// `value relation value`, or what stands here otherwise.
    pub(super) fn relation(&mut self) -> Result<Read, Fault> {
        let left = self.binary(1)?;
        let Some(relation) = relation(self.peek()) else { return Ok(left) };
        let Item::Value(first) = left.item else {
            return Err(self.fault("only values can be compared").hint("such as `tcp[13]` or `len`"));
        };
        self.advance();
        let right = self.binary(1)?;
        let span = left.span.until(right.span);
        let Item::Value(second) = right.item else {
            return Err(Fault::new(right.span, "expected a value to compare with"));
        };
        self.carried = None;
        let node = Node::Compare { left: first, relation, right: second, span };
        Ok(Read { item: Item::Test(node), span, height: self.checked(1 + left.height.max(right.height))? })
    }

    /// Values joined by operators that bind at least so tight.
    fn binary(&mut self, least: u8) -> Result<Read, Fault> {
        let mut left = self.unary()?;
        while let Some((operator, tight)) = operator(self.peek()).filter(|(_, tight)| *tight >= least) {
            let Item::Value(first) = left.item else { break };
            let sign = self.advance().span;
            let behind = if tight == TIGHTEST { 1 } else { tight + 1 };
            let right = self.deeper(|parser| parser.binary(behind))?;
            let Item::Value(second) = right.item else {
                return Err(Fault::new(right.span, "expected a value"));
            };
            constant_fault(operator, &second, right.span)?;
            let value =
                Arithmetic::Binary { operator, left: Box::new(first), right: Box::new(second), span: sign };
            let height = self.checked(1 + left.height.max(right.height))?;
            left = Read { item: Item::Value(value), span: left.span.until(right.span), height };
        }
        Ok(left)
    }

    fn unary(&mut self) -> Result<Read, Fault> {
        if self.peek() != Kind::Minus {
            return self.primary();
        }
        let sign = self.advance().span;
        let read = self.deeper(Self::unary)?;
        let span = sign.until(read.span);
        match read.item {
            Item::Value(value) => {
                let item = Item::Value(Arithmetic::Negate(Box::new(value)));
                Ok(Read { item, span, height: self.checked(read.height + 1)? })
            }
            Item::Test(_) => Err(Fault::new(read.span, "expected a value behind `-`")),
        }
    }

    fn primary(&mut self) -> Result<Read, Fault> {
        let span = self.token().span;
        let value = |value| Ok(Read { item: Item::Value(value), span, height: 1 });
        match (self.peek(), self.keyword()) {
            (Kind::Open, _) => self.parentheses(),
            // `10.0.0.0/8` and the like are ids, a number is one only where nothing can be done with it.
            (Kind::Number(number), _) => {
                self.advance();
                value(Arithmetic::Number(number))
            }
            (_, Some(Keyword::Number(number))) => {
                self.advance();
                value(Arithmetic::Number(number))
            }
            (_, Some(Keyword::Length)) => {
                self.advance();
                value(Arithmetic::Length)
            }
            (_, Some(Keyword::Protocol(protocol))) if self.peek_second() == Kind::OpenBracket => {
                self.advance();
                self.bytes(protocol, span)
            }
            _ => self.primitive(),
        }
    }

    /// `[at]` or `[at:width]` behind a protocol.
    fn bytes(&mut self, protocol: Protocol, from: Span) -> Result<Read, Fault> {
        self.advance();
        let read = self.deeper(|parser| parser.binary(1)).map_err(|fault| self.hint_at_offset(fault))?;
        let Item::Value(at) = read.item else {
            return Err(Fault::new(read.span, "expected an offset: a value"));
        };
        let mut width = 1;
        if self.eat(Kind::Colon) {
            width = match self.peek() {
                Kind::Number(number @ (1 | 2 | 4)) => number as u8,
                _ => return Err(self.expected("a number of bytes: 1, 2 or 4")),
            };
            self.advance();
        }
        if self.peek() != Kind::CloseBracket {
            return Err(self.expected("`]`, or `:` and a number of bytes"));
        }
        let span = from.until(self.advance().span);
        let value = Arithmetic::Bytes { protocol, at: Box::new(at), width, span };
        Ok(Read { item: Item::Value(value), span, height: self.checked(read.height + 1)? })
    }

    /// A word in brackets can only be meant for a named offset.
    fn hint_at_offset(&self, fault: Fault) -> Fault {
        match self.peek() {
            Kind::Word(word) if fault.span == self.token().span => {
                fault.suggest(closest(word, named_numbers()))
            }
            _ => fault,
        }
    }
}

/// What libpcap refuses where it can be seen at once.
fn constant_fault(operator: Operator, right: &Arithmetic, span: Span) -> Result<(), Fault> {
    match (operator, right) {
        (Operator::Divide | Operator::Remainder, Arithmetic::Number(0)) => {
            Err(Fault::new(span, "division by 0"))
        }
        (Operator::ShiftLeft | Operator::ShiftRight, Arithmetic::Number(32..)) => {
            Err(Fault::new(span, "a shift by more than 31 bits"))
        }
        _ => Ok(()),
    }
}
