//! Lines broken between words where a terminal is narrower than they are.

/// What a broken line goes on with, where its last column begins too far to the right.
const HANGING: usize = 6;

/// The text, whose lines have at most so many columns if they can be broken; as it is where `columns` is `None`.
pub(super) fn lines(text: &str, columns: Option<usize>) -> String {
    let Some(columns) = columns else { return text.to_owned() };
    let mut out = String::with_capacity(text.len() + 64);
    for line in text.lines() {
        put(line, columns, &mut out);
        out.push('\n');
    }
    out
}

/// Appends a line, in pieces that begin below its last column: that is what stands behind two blanks.
fn put(line: &str, columns: usize, out: &mut String) {
    if width(line) <= columns {
        return out.push_str(line);
    }
    let indent = line.len() - line.trim_start_matches(' ').len();
    let last = line[indent..].rfind("  ").map_or(0, |at| indent + at + 2);
    let hanging = match width(&line[..last]) {
        0 => indent,
        place if place <= columns / 2 => place,
        _ => HANGING,
    };
    let mut taken = width(&line[..last]);
    out.push_str(&line[..last]);
    for (number, word) in line[last..].trim_start_matches(' ').split(' ').enumerate() {
        if number == 0 {
            let blanks = if last == 0 { indent } else { 0 };
            out.extend(std::iter::repeat_n(' ', blanks));
            taken += blanks;
        } else if taken + 1 + width(word) > columns {
            out.push('\n');
            out.extend(std::iter::repeat_n(' ', hanging));
            taken = hanging;
        } else {
            out.push(' ');
            taken += 1;
        }
        out.push_str(word);
        taken += width(word);
    }
}

/// Columns that a text takes: colours (ECMA-48 SGR) take none.
fn width(text: &str) -> usize {
    let mut parts = text.split("\x1b[");
    let first = parts.next().map_or(0, |part| part.chars().count());
    let rest = parts.map(|part| part.split_once('m').map_or(0, |(_, text)| text.chars().count()));
    first + rest.sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_stay_whole_below_the_last_column() {
        let text = "1. A title\n   \x1b[33mTCP      \x1b[0m  32 bytes  port 1 -> 2, seq 3, checksum 0x14cf\n";
        assert_eq!(lines(text, None), text);
        assert_eq!(lines(text, Some(80)), text);
        assert_eq!(
            lines(text, Some(48)),
            "1. A title\n   \x1b[33mTCP      \x1b[0m  32 bytes  port 1 -> 2, seq 3,\n                        checksum 0x14cf\n"
        );
        assert_eq!(lines("   one two three\n", Some(10)), "   one two\n   three\n");
        assert_eq!(lines("   unbreakable\n", Some(5)), "   unbreakable\n");
    }
}
