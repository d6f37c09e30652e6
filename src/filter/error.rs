//! What is wrong with an expression, and where.

use std::fmt;

/// Characters of an expression shown on either side of a fault.
const AROUND: usize = 60;

/// Bytes of an expression: from the first to behind the last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) from: usize,
    pub(super) to: usize,
}

impl Span {
    pub(super) fn new(from: usize, to: usize) -> Self {
        Self { from, to }
    }

    /// From the start of one to the end of the other.
    pub(super) fn until(self, last: Self) -> Self {
        Self { from: self.from, to: last.to.max(self.from) }
    }
}

/// Where and why an expression cannot be read, or has no meaning on a link type.
///
/// ```
/// use wharf::filter::Filter;
/// let error = "tcp prot 80".parse::<Filter>().unwrap_err();
/// assert_eq!((error.line(), error.column()), (1, 5));
/// assert_eq!(error.to_string(), "column 5: expected `and`, `or` or the end, found `prot` (did you mean `port`?)");
/// assert_eq!(error.excerpt(), "tcp prot 80\n    ^^^^");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    reason: String,
    hint: Option<String>,
    line: usize,
    column: usize,
    excerpt: String,
    looked_up: bool,
}

/// A fault before it is known in which text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) span: Span,
    pub(super) reason: String,
    pub(super) hint: Option<String>,
    /// A name that this machine does not know.
    pub(super) looked_up: bool,
}

impl Fault {
    pub(super) fn new(span: Span, reason: impl Into<String>) -> Self {
        Self { span, reason: reason.into(), hint: None, looked_up: false }
    }

    pub(super) fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    pub(super) fn looked_up(self) -> Self {
        Self { looked_up: true, ..self }
    }

    pub(super) fn suggest(self, word: Option<&str>) -> Self {
        match word {
            Some(word) => self.hint(format!("did you mean `{word}`?")),
            None => self,
        }
    }

    /// With the place as a person counts it.
    pub(super) fn within(self, text: &str) -> Error {
        let Self { span, reason, hint, looked_up } = self;
        let from = floor(text, span.from);
        let to = floor(text, span.to).max(from);
        let line_start = text[..from].rfind('\n').map_or(0, |at| at + 1);
        let line = text[..from].matches('\n').count() + 1;
        let column = text[line_start..from].chars().count() + 1;
        Error { reason, hint, line, column, excerpt: excerpt(text, line_start, from, to), looked_up }
    }
}

/// The greatest boundary of a character that is not beyond `at`.
fn floor(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0)
}

/// What stands around the fault in its line, and below it marks.
fn excerpt(text: &str, line_start: usize, from: usize, to: usize) -> String {
    let line_end = text[from..].find('\n').map_or(text.len(), |at| from + at);
    let begin = text[line_start..from]
        .char_indices()
        .rev()
        .nth(AROUND - 1)
        .map_or(line_start, |(at, _)| line_start + at);
    let end = text[from..line_end].char_indices().nth(AROUND).map_or(line_end, |(at, _)| from + at);
    let before = if begin > line_start { "..." } else { "" };
    let after = if end < line_end { "..." } else { "" };
    // A tab or the like would move the marks.
    let plain = |part: &str| part.chars().map(|c| if c.is_control() { ' ' } else { c }).collect::<String>();
    let marks = text[from..to.min(end)].chars().count().max(1);
    let indent = before.len() + text[begin..from].chars().count();
    format!("{before}{}{after}\n{}{}", plain(&text[begin..end]), " ".repeat(indent), "^".repeat(marks))
}

impl Error {
    /// The line of the fault, from 1: an expression from a file may have several.
    #[must_use]
    pub fn line(&self) -> usize {
        self.line
    }

    /// Where in that line, in characters from 1.
    #[must_use]
    pub fn column(&self) -> usize {
        self.column
    }

    /// What was expected there and what was found.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// What was probably meant, or what to do.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// Whether it is a name that was looked up and not found: on another machine, or later, it may be known.
    #[must_use]
    pub fn is_lookup(&self) -> bool {
        self.looked_up
    }

    /// The line, or what of it stands around the fault, and below it a line with `^` where the fault is.
    #[must_use]
    pub fn excerpt(&self) -> &str {
        &self.excerpt
    }
}

/// In one line, without the expression.
impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line > 1 {
            write!(f, "line {}, ", self.line)?;
        }
        write!(f, "column {}: {}", self.column, self.reason)?;
        match &self.hint {
            Some(hint) => write!(f, " ({hint})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {}

/// The word closest to what was written, if one is close enough to be meant.
pub(super) fn closest<'w>(written: &str, words: impl IntoIterator<Item = &'w str>) -> Option<&'w str> {
    let written: Vec<char> = written.chars().take(24).flat_map(char::to_lowercase).collect();
    let most = match written.len() {
        0 | 1 => return None,
        2..=4 => 1,
        _ => 2,
    };
    words
        .into_iter()
        .map(|word| (distance(&written, word), word))
        .filter(|(d, _)| *d <= most)
        .min_by_key(|(d, _)| *d)
        .map(|(_, word)| word)
}

/// Insertions, deletions, replacements and swaps of neighbours that make one of the other.
fn distance(a: &[char], b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut rows = vec![(0..=b.len()).collect::<Vec<_>>()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let swap = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
            let replaced = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut least = replaced.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if swap {
                least = least.min(rows[i - 2][j - 2] + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suggestions_are_close() {
        let words = ["host", "port", "portrange", "tcp", "udp"];
        for (written, suggested) in [
            ("prot", Some("port")),
            ("TCP", Some("tcp")),
            ("tpc", Some("tcp")),
            ("portrnage", Some("portrange")),
            ("x", None),
            ("example.org", None),
        ] {
            assert_eq!(closest(written, words), suggested, "{written}");
        }
    }

    #[test]
    fn long_lines_are_cut_around_the_fault() {
        let text = format!("{}\nxé{} {}", "a".repeat(5), "b".repeat(100), "c".repeat(100));
        let error = Fault::new(Span::new(text.find('c').unwrap(), text.len()), "x").within(&text);
        assert_eq!((error.line(), error.column()), (2, 104));
        let (line, marks) = error.excerpt().split_once('\n').unwrap();
        assert!(line.starts_with("...bbb") && line.ends_with("ccc..."));
        assert_eq!(line.find('c'), marks.find('^'));
        // A place within a character, or beyond the end, is no reason to panic.
        for at in 0..text.len() + 3 {
            let _ = Fault::new(Span::new(at, at + 1), "x").within(&text);
        }
    }
}
