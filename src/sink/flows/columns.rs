//! The columns of a table: how wide they are, and which of them a terminal has no room for.

use crate::sink::format::Put;

/// How many there are.
pub(super) const COUNT: usize = 11;
/// What stands above each.
const TITLES: [&str; COUNT] = [
    "proto",
    "from",
    "to",
    "packets",
    "back",
    "bytes",
    "back",
    "bit/s",
    "start",
    "time",
    "what became of it",
];
const NUMBERS: [bool; COUNT] = [false, false, false, true, true, true, true, true, true, true, false];

const PROTOCOL: usize = 0;
const ENDS: [usize; 2] = [1, 2];
const RATE: usize = 7;
const STORY: usize = 10;
/// What a terminal that is too narrow goes without, in turn.
const SPARED: [usize; 4] = [8, 4, 3, 9];
/// What it shows at least of a protocol, an end and a story.
const LEAST: [(usize, usize); 4] = [(PROTOCOL, 12), (ENDS[0], 16), (ENDS[1], 16), (STORY, 20)];
/// An end wider than that is cut before a story is.
const WIDE: usize = 32;
/// Between two columns.
const GAP: usize = 2;

/// How wide each column is; `None` for one that is left out.
pub(super) struct Columns {
    widths: [Option<usize>; COUNT],
}

impl Columns {
    /// For rows whose widest cells are these, within the width of a terminal, if it is one; with rates or without.
    pub(super) fn of(widest: [usize; COUNT], rates: bool, terminal: Option<usize>) -> Self {
        let mut widths = [None; COUNT];
        for ((width, widest), title) in widths.iter_mut().zip(widest).zip(TITLES) {
            *width = Some(widest.max(title.len()));
        }
        if !rates {
            widths[RATE] = None;
        }
        if let Some(terminal) = terminal {
            fit(&mut widths, terminal);
        }
        Self { widths }
    }

    /// Appends the line of titles.
    pub(super) fn put_titles(&self, out: &mut Vec<u8>) {
        self.put(TITLES.iter().map(|title| title.as_bytes()), out);
    }

    /// Appends a row. What is too wide is cut: of an end the beginning, as its port is at the other one, of others the end.
    pub(super) fn put<'c>(&self, cells: impl Iterator<Item = &'c [u8]>, out: &mut Vec<u8>) {
        for ((at, cell), most) in cells.enumerate().zip(self.widths) {
            let Some(most) = most else { continue };
            let width = width(cell);
            let pad = most.saturating_sub(width);
            if NUMBERS[at] {
                out.resize(out.len() + pad, b' ');
            }
            if width <= most {
                out.extend_from_slice(cell);
            } else {
                put_cut(cell, most, ENDS.contains(&at), out);
            }
            out.resize(out.len() + if NUMBERS[at] { GAP } else { pad + GAP }, b' ');
        }
        while out.last() == Some(&b' ') {
            out.pop();
        }
        out.push(b'\n');
    }
}

/// Makes columns narrower until they have room side by side: those that are [spared](SPARED) are left out, ends and story cut.
fn fit(widths: &mut [Option<usize>; COUNT], terminal: usize) {
    let natural = *widths;
    let left = |widths: &[Option<usize>; COUNT]| {
        let taken: usize = widths.iter().flatten().map(|width| width + GAP).sum();
        (terminal + GAP) as isize - taken as isize
    };
    for (column, least) in LEAST {
        widths[column] = widths[column].map(|width| width.min(least));
    }
    for column in SPARED {
        if left(widths) < 0 {
            widths[column] = None;
        }
    }
    for column in [STORY, ENDS[1], ENDS[0]] {
        let lacking = left(widths).min(0).unsigned_abs();
        widths[column] = widths[column].map(|width| width.saturating_sub(lacking).max(1));
    }
    // Where there is room, ends are whole first, unless they are very long.
    let all = usize::MAX;
    for (column, most, sharing) in
        [(ENDS[0], WIDE, 2), (ENDS[1], WIDE, 1), (STORY, all, 1), (ENDS[0], all, 2), (ENDS[1], all, 1)]
    {
        let room = left(widths).max(0).unsigned_abs() / sharing;
        let wanted = natural[column].map_or(0, |width| width.min(most));
        widths[column] = widths[column].map(|width| width + wanted.saturating_sub(width).min(room));
    }
}

/// Characters of a cell.
pub(super) fn width(cell: &[u8]) -> usize {
    if cell.is_ascii() { cell.len() } else { String::from_utf8_lossy(cell).chars().count() }
}

/// Appends so many characters of a longer cell, one of them for those that are missing: at the beginning or the end.
fn put_cut(cell: &[u8], most: usize, beginning: bool, out: &mut Vec<u8>) {
    let text = String::from_utf8_lossy(cell);
    let all = text.chars().count();
    if beginning {
        out.text("\u{2026}");
        text.chars().skip(all + 1 - most).for_each(|c| put_char(c, out));
    } else {
        text.chars().take(most - 1).for_each(|c| put_char(c, out));
        out.text("\u{2026}");
    }
}

fn put_char(c: char, out: &mut Vec<u8>) {
    out.text(c.encode_utf8(&mut [0; 4]));
}

#[cfg(test)]
mod tests {
    use super::*;

    const CELLS: [&str; COUNT] = [
        "tcp",
        "10.0.0.1:54321",
        "a.very.long.name.of.a.server.in.some.cloud.example.com:https",
        "123456",
        "123456",
        "12345678",
        "1234567890",
        "12.3 M",
        "3600.123",
        "10.0 ms",
        "closed, handshake 20.0 ms, RTT 6.7 ms, 12 sent again",
    ];

    fn row(rates: bool, terminal: Option<usize>) -> String {
        let widest = CELLS.map(|cell| cell.chars().count());
        let mut out = Vec::new();
        let columns = Columns::of(widest, rates, terminal);
        columns.put(CELLS.iter().map(|cell| cell.as_bytes()), &mut out);
        columns.put_titles(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn rows_are_as_wide_as_the_terminal_at_most() {
        for (rates, width) in [false, true].into_iter().flat_map(|rates| (60..250).map(move |w| (rates, w))) {
            let text = row(rates, Some(width));
            let widest = text.lines().map(|line| line.chars().count()).max().unwrap();
            assert!(widest <= width, "{widest} of {width}:\n{text}");
            assert!(text.starts_with("tcp") && (rates || text.contains(":https ")), "{text}");
        }
        // Not a terminal: all of it.
        let whole = row(false, None);
        assert!(CELLS.iter().enumerate().all(|(at, cell)| whole.contains(cell) != (at == RATE)), "{whole}");
        assert_eq!(row(true, Some(300)), row(true, None));
    }

    #[test]
    fn eighty_columns_have_both_ends_the_bytes_and_the_story() {
        assert_eq!(
            row(false, Some(80)),
            "tcp    10.0.0.1:54321  \u{2026}ample.com:https  12345678  1234567890  closed, handshak\u{2026}\n\
             proto  from            to                   bytes        back  what became of it\n"
        );
    }

    #[test]
    fn characters_are_cut_not_bytes() {
        let mut out = Vec::new();
        put_cut("é€x€é".as_bytes(), 3, true, &mut out);
        put_cut("é€x€é".as_bytes(), 3, false, &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), "\u{2026}€éé€\u{2026}");
    }
}
