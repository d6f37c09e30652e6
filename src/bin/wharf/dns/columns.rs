//! Lines whose columns stand below one another, although they are printed before all of them are known.

/// How many columns there are.
pub(super) const COUNT: usize = 8;
/// How wide they are at least: the last one has no width.
const LEAST: [usize; COUNT - 1] = [15, 15, 15, 5, 28, 10, 8];
/// A longer cell makes only its own line longer, and a terminal's is cut: a name may have 255 characters.
const MOST: [usize; COUNT - 1] = [15, 40, 40, 10, 60, 15, 10];
/// Columns of a terminal that has room for that; what is narrower than the other one goes without servers and parts of a
/// second.
const ROOMY: usize = 160;
const NARROW: usize = 113;
const SERVER: usize = 2;

/// Lays lines out. A column is as wide as what has been seen in it.
pub(super) struct Columns {
    widths: [usize; COUNT - 1],
    most: [usize; COUNT - 1],
    terminal: Option<usize>,
    narrow: bool,
    /// So many lines are held back, to see how wide they are.
    hold: usize,
    held: Vec<Line>,
}

enum Line {
    Cells([String; COUNT]),
    Whole(String),
}

impl Columns {
    pub(super) fn new(terminal: Option<usize>, hold: usize) -> Self {
        let (mut widths, mut most, mut narrow) = (LEAST, MOST, false);
        match terminal {
            // All that is left is the name's.
            Some(columns @ ..NARROW) => {
                narrow = true;
                widths[0] = "22:13:20".len();
                let others = [0, 1, 3, 5, 6].map(|column| widths[column] + 2).iter().sum::<usize>();
                widths[4] = columns.saturating_sub(others).clamp(10, LEAST[4]);
                most = widths;
            }
            Some(..ROOMY) => most = LEAST,
            _ => {}
        }
        Self { widths, most, terminal, narrow, hold, held: Vec::new() }
    }

    /// Takes a line, and puts out those that are not held back any longer.
    pub(super) fn add(&mut self, mut cells: [String; COUNT], out: &mut Vec<u8>) {
        if self.narrow {
            let time = cells[0].split('.').next().unwrap_or_default().to_owned();
            cells[0] = time;
        }
        for ((width, most), cell) in self.widths.iter_mut().zip(self.most).zip(&cells) {
            *width = cell.chars().count().min(most).max(*width);
        }
        self.take(Line::Cells(cells), out);
    }

    /// Takes a line without columns.
    pub(super) fn add_line(&mut self, line: String, out: &mut Vec<u8>) {
        self.take(Line::Whole(line), out);
    }

    /// Puts out what is held back.
    pub(super) fn flush(&mut self, out: &mut Vec<u8>) {
        for line in std::mem::take(&mut self.held) {
            self.put(line, out);
        }
    }

    fn take(&mut self, line: Line, out: &mut Vec<u8>) {
        if self.hold == 0 {
            return self.put(line, out);
        }
        self.held.push(line);
        if self.held.len() >= self.hold {
            self.hold = 0;
            self.flush(out);
        }
    }

    fn put(&self, line: Line, out: &mut Vec<u8>) {
        let text = match line {
            Line::Whole(text) => text,
            Line::Cells(cells) => self.laid_out(&cells),
        };
        match self.terminal {
            Some(columns) => out.extend(cut(&text, columns).bytes()),
            None => out.extend(text.bytes()),
        }
        out.push(b'\n');
    }

    /// Each padded, but for the last. What is too long takes of the room behind the next ones.
    fn laid_out(&self, cells: &[String; COUNT]) -> String {
        let (mut line, mut end) = (String::new(), 0);
        for (column, (cell, width)) in cells.iter().zip(self.widths).enumerate() {
            if self.narrow && column == SERVER {
                continue;
            }
            let cell = if self.terminal.is_some() { cut(cell, width) } else { cell.clone() };
            line += &cell;
            end += width + 2;
            let gap = end.saturating_sub(line.chars().count()).max(2);
            line.extend(std::iter::repeat_n(' ', gap));
        }
        line += &cells[COUNT - 1];
        line.truncate(line.trim_end().len());
        line
    }
}

/// At most so many characters, the last of which stands for those that are missing.
fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most.saturating_sub(1)).chain(['\u{2026}']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cells(server: &str, name: &str) -> [String; COUNT] {
        ["22:13:20.000005", "10.0.0.1", server, "A", name, "NOERROR", "12.3 ms", "192.0.2.7"]
            .map(str::to_owned)
    }

    fn lines(columns: &mut Columns, rows: &[(&str, &str)]) -> Vec<String> {
        let mut out = Vec::new();
        rows.iter().for_each(|(server, name)| columns.add(cells(server, name), &mut out));
        columns.flush(&mut out);
        String::from_utf8(out).unwrap().lines().map(str::to_owned).collect()
    }

    /// Where the answer begins.
    fn answers(lines: &[String]) -> Vec<usize> {
        lines.iter().map(|line| line.find("192.0.2.7").unwrap()).collect()
    }

    const ROWS: [(&str, &str); 3] = [
        ("9.9.9.9", "a.test"),
        ("2001:db8:1234:5678:9abc:def0:1234:5678", "a.name.of.more.than.28.characters.test"),
        ("9.9.9.9", "b.test"),
    ];

    #[test]
    fn held_lines_stand_below_one_another() {
        let at = answers(&lines(&mut Columns::new(None, 10), &ROWS));
        assert!(at.iter().all(|place| *place == at[0]), "{at:?}");
        // Those after it do where none is held back.
        let at = answers(&lines(&mut Columns::new(None, 0), &ROWS));
        assert!(at[0] < at[1] && at[1] == at[2], "{at:?}");
    }

    #[test]
    fn a_name_beyond_all_measure_makes_its_own_line_longer() {
        let long = "x".repeat(200);
        let at = answers(&lines(&mut Columns::new(None, 10), &[("9.9.9.9", "a.test"), ("9.9.9.9", &long)]));
        assert!(at[0] < 150 && at[1] > 200, "{at:?}");
    }

    #[test]
    fn lines_fit_a_terminal() {
        for columns in [80, 120, 200] {
            let lines = lines(&mut Columns::new(Some(columns), 10), &ROWS);
            assert!(lines.iter().all(|line| line.chars().count() <= columns), "{lines:#?}");
            assert!(lines.iter().all(|line| line.contains("NOERROR     12.3 ms")), "{lines:#?}");
        }
    }
}
