//! What is known of a frame on the way to a decision.

use super::{Is, Value, ValueId, Values, calculate};
use crate::filter::ir::Width;

/// Most values, and most questions between two values, that are kept in mind.
const MOST: usize = 48;
/// Most numbers that a value is known not to be.
const MOST_EXCLUDED: usize = 12;
/// Most numbers among which a value is known to be.
const MOST_POSSIBLE: usize = 4;
/// Levels looked into a value for what it must be.
const DEEPEST: u32 = 8;

/// What is known of one value: it lies in a range, and is none of a few numbers, or one of a few.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Range {
    low: u32,
    high: u32,
    excluded: [u32; MOST_EXCLUDED],
    count: usize,
    /// Where there is one, it is one of these.
    possible: [u32; MOST_POSSIBLE],
    possibles: usize,
}

impl Range {
    fn new(high: u32) -> Self {
        Self {
            low: 0,
            high,
            excluded: [0; MOST_EXCLUDED],
            count: 0,
            possible: [0; MOST_POSSIBLE],
            possibles: 0,
        }
    }

    fn exactly(number: u32) -> Self {
        let mut range = Self { low: number, ..Self::new(number) };
        (range.possible[0], range.possibles) = (number, 1);
        range
    }

    fn excluded(&self) -> &[u32] {
        &self.excluded[..self.count]
    }

    fn possible(&self) -> &[u32] {
        &self.possible[..self.possibles]
    }

    fn may_be(&self, number: u32) -> bool {
        (self.low..=self.high).contains(&number)
            && !self.excluded().contains(&number)
            && (self.possibles == 0 || self.possible().contains(&number))
    }

    /// What it is, if it is but one.
    fn only(&self) -> Option<u32> {
        if self.low == self.high {
            return Some(self.low);
        }
        let mut left = self.possible().iter().filter(|number| self.may_be(**number));
        let only = left.next().copied();
        only.filter(|_| left.next().is_none())
    }

    fn exclude(&mut self, number: u32) {
        if number == self.low && self.low < self.high {
            self.low += 1;
        } else if number == self.high && self.low < self.high {
            self.high -= 1;
        } else if self.count < MOST_EXCLUDED && self.may_be(number) {
            self.excluded[self.count] = number;
            self.count += 1;
        }
    }

    fn learn(&mut self, is: Is, holds: bool) {
        match (is, holds) {
            (Is::Equal(number), true) => *self = Self::exactly(number),
            (Is::Equal(number), false) => self.exclude(number),
            (Is::AtLeast(number), true) => self.low = self.low.max(number),
            (Is::AtLeast(number), false) => self.high = self.high.min(number.saturating_sub(1)),
            _ => {}
        }
    }

    fn decide(&self, is: Is) -> Option<bool> {
        match is {
            Is::Equal(number) if !self.may_be(number) => Some(false),
            Is::Equal(number) if self.only() == Some(number) => Some(true),
            Is::AtLeast(number) if self.low >= number => Some(true),
            Is::AtLeast(number) if self.high < number => Some(false),
            _ => None,
        }
    }

    fn either(&self, other: &Self) -> Self {
        let mut both = Self::new(self.high.max(other.high));
        both.low = self.low.min(other.low);
        if self.possibles > 0 && other.possibles > 0 {
            for number in self.possible().iter().chain(other.possible()) {
                if !both.possible().contains(number) {
                    match both.possible.get_mut(both.possibles) {
                        Some(free) => *free = *number,
                        // Too many to name.
                        None => {
                            both.possibles = 0;
                            break;
                        }
                    }
                    both.possibles += 1;
                }
            }
        }
        for number in self.excluded().iter().filter(|number| !other.may_be(**number)) {
            both.exclude(*number);
        }
        for number in other.excluded().iter().filter(|number| !self.may_be(**number)) {
            both.exclude(*number);
        }
        both
    }
}

/// What is known on a way, or on all that meet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    /// By value, ascending.
    ranges: Vec<(ValueId, Range)>,
    /// Comparisons of two values, and how they came out.
    answers: Vec<(ValueId, Is, bool)>,
}

impl Facts {
    fn range(&self, value: ValueId) -> Option<&Range> {
        let at = self.ranges.binary_search_by_key(&value, |(value, _)| *value).ok()?;
        Some(&self.ranges[at].1)
    }

    /// Whether nothing is known.
    pub(crate) fn is_empty(&self) -> bool {
        self.ranges.is_empty() && self.answers.is_empty()
    }

    /// Keeps in mind how a question was answered, and so that its value could be read.
    pub(crate) fn learn(&mut self, values: &Values, value: ValueId, is: Is, holds: bool) {
        if let Is::EqualTo(_) | Is::AtLeastThat(_) = is {
            if self.answers.len() < MOST {
                self.answers.push((value, is, holds));
            }
            return;
        }
        let at = match self.ranges.binary_search_by_key(&value, |(value, _)| *value) {
            Ok(at) => at,
            Err(_) if self.ranges.len() >= MOST => return,
            Err(at) => {
                let high = match values.get(value) {
                    Value::Load { width: Width::Byte, .. } => 0xff,
                    Value::Load { width: Width::Half, .. } => 0xffff,
                    _ => u32::MAX,
                };
                self.ranges.insert(at, (value, Range::new(high)));
                at
            }
        };
        self.ranges[at].1.learn(is, holds);
    }

    /// Forgets what was known of a local, which is now something else, and of what is made of it.
    pub(crate) fn forget(&mut self, values: &Values, local: Value) {
        self.ranges.retain(|(value, _)| !values.is_made_of(*value, local));
        self.answers.retain(|(value, is, _)| {
            let other = match is {
                Is::EqualTo(other) | Is::AtLeastThat(other) => values.is_made_of(*other, local),
                Is::Equal(_) | Is::AtLeast(_) => false,
            };
            !other && !values.is_made_of(*value, local)
        });
    }

    /// The answer, if it is known.
    pub(crate) fn decide(&self, values: &Values, value: ValueId, is: Is) -> Option<bool> {
        let other = match is {
            Is::EqualTo(other) | Is::AtLeastThat(other) => self.value(values, other),
            Is::Equal(_) | Is::AtLeast(_) => None,
        };
        let range = match self.value(values, value) {
            Some(number) => Some(Range::exactly(number)),
            None => self.range(value).copied(),
        };
        let answer = match (is, other) {
            (Is::EqualTo(_), Some(number)) => range?.decide(Is::Equal(number)),
            (Is::AtLeastThat(_), Some(number)) => range?.decide(Is::AtLeast(number)),
            (Is::EqualTo(_) | Is::AtLeastThat(_), None) => None,
            (Is::Equal(_) | Is::AtLeast(_), _) => range?.decide(is),
        };
        answer.or_else(|| {
            let same = |(known, asked, _): &&(ValueId, Is, bool)| (*known, *asked) == (value, is);
            self.answers.iter().find(same).map(|(_, _, answer)| *answer)
        })
    }

    /// What a value must be, if that is known.
    pub(crate) fn value(&self, values: &Values, value: ValueId) -> Option<u32> {
        self.value_within(values, value, DEEPEST)
    }

    fn value_within(&self, values: &Values, value: ValueId, depth: u32) -> Option<u32> {
        if let Some(only) = self.range(value).and_then(Range::only) {
            return Some(only);
        }
        let depth = depth.checked_sub(1)?;
        match values.get(value) {
            Value::Constant(constant) => Some(constant),
            Value::HeaderLength { at } => {
                let first = values.find(Value::Load { from: None, at, width: Width::Byte })?;
                Some(4 * (self.value_within(values, first, depth)? & 15))
            }
            Value::Load { from: Some(from), at, width } => {
                let at = self.value_within(values, from, depth)?.checked_add(at)?;
                let load = values.find(Value::Load { from: None, at, width })?;
                self.value_within(values, load, depth)
            }
            Value::Negate(of) => Some(self.value_within(values, of, depth)?.wrapping_neg()),
            Value::Arithmetic(operator, left, right) => {
                let left = self.value_within(values, left, depth)?;
                calculate(operator, left, self.value_within(values, right, depth)?)
            }
            _ => None,
        }
    }

    /// Keeps what is known both here and there.
    pub(crate) fn meet(&mut self, other: &Self) {
        self.ranges.retain_mut(|(value, range)| match other.range(*value) {
            Some(theirs) => {
                *range = range.either(theirs);
                true
            }
            None => false,
        });
        self.answers.retain(|answer| other.answers.contains(answer));
    }
}
