//! The largest flows while packets come: as many as a terminal has lines, and how fast they are.

use super::columns::{self, Columns};
use super::table::Row;
use crate::flow::{FlowKey, FlowRecord};
use crate::frame::Timestamp;
use crate::sink::format::{Put, scaled};
use crate::sink::services::Services;
use crate::sys::terminal;
use std::collections::HashMap;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

/// Rows that are shown where there is no terminal that says how many it has.
const ROWS: usize = 20;
/// Lines beside them: the titles, how many flows there are beside these, an empty one, and that with the cursor.
const OTHERS: usize = 4;

/// What was shown last.
pub(super) struct Largest {
    /// It goes to standard output, and that is a terminal.
    screen: bool,
    shown: Instant,
    bytes: HashMap<FlowKey, u64>,
}

impl Largest {
    /// So many flows it wants to be given, though it shows fewer: of these it is known later how large they were.
    pub(super) const WANTED: usize = 1_000;

    pub(super) fn new(screen: bool) -> Self {
        Self { screen, shown: Instant::now(), bytes: HashMap::new() }
    }

    /// Whether it is time to show the next ones.
    pub(super) fn is_due(&self, every: Duration, now: Instant) -> bool {
        now.duration_since(self.shown) >= every
    }

    /// Columns and rows of the terminal, if it is one.
    pub(super) fn terminal(&self) -> Option<(usize, usize)> {
        if self.screen { terminal::size(std::io::stdout().as_fd()) } else { None }
    }

    /// Whether what is shown takes the place of what was shown before.
    pub(super) const fn is_screen(&self) -> bool {
        self.screen
    }

    /// Appends a table of the first of these flows, which are the largest, of `all`; their start counts from the capture's
    /// `first` packet, their rates up to `now`.
    pub(super) fn put(
        &mut self,
        (mut flows, all): (Vec<FlowRecord>, usize),
        (first, now): (Option<Timestamp>, Instant),
        services: Option<&Services>,
        mut name: impl FnMut(&mut FlowRecord),
        out: &mut Vec<u8>,
    ) {
        let size = self.terminal();
        let most = size.map_or(ROWS, |(_, rows)| rows.saturating_sub(OTHERS).max(1));
        let since = now.duration_since(std::mem::replace(&mut self.shown, now));
        let before = std::mem::take(&mut self.bytes);
        self.bytes.extend(flows.iter().map(|flow| (flow.key, bytes_of(flow))));
        flows.truncate(most);
        let rows: Vec<(Row, String)> = flows
            .iter_mut()
            .map(|flow| {
                name(flow);
                (Row::of(flow, services), rate_of(flow, before.get(&flow.key).copied(), since))
            })
            .collect();
        let (mut widths, mut start) = ([0; columns::COUNT], Vec::new());
        for (row, rate) in &rows {
            start.clear();
            row.put_start(first, &mut start);
            row.widen(&mut widths, rate.as_bytes(), &start);
        }
        let columns = Columns::of(widths, true, size.map(|(columns, _)| columns));
        columns.put_titles(out);
        for (row, rate) in &rows {
            row.put(&columns, first, rate.as_bytes(), &mut start, out);
        }
        if all > rows.len() {
            let more = all - rows.len();
            out.text(&format!("and {more} smaller flow{}\n", if more == 1 { "" } else { "s" }));
        }
    }
}

fn bytes_of(flow: &FlowRecord) -> u64 {
    flow.bytes[0] + flow.bytes[1]
}

/// Bits a second since so many bytes `before`, that long ago; of a flow of which that is not known, and which may be older, `-`.
fn rate_of(flow: &FlowRecord, before: Option<u64>, since: Duration) -> String {
    let bytes = bytes_of(flow);
    // A record that goes on from another one begins anew.
    let before = before.filter(|&before| before <= bytes).or((flow.duration() < since).then_some(0));
    match before {
        Some(before) if !since.is_zero() => scaled((bytes - before) as f64 * 8.0 / since.as_secs_f64()),
        _ => "-".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::{Ipv4, Stack, Udp};
    use crate::flow::{Meter, MeterOptions};
    use crate::frame::{Frame, LinkType};
    use crate::parse::{Packet, parse};

    /// The flows of so many packets of 1,028 bytes from each of these ports.
    fn flows(meter: &mut Meter, packets: &[(u16, usize)]) -> Vec<FlowRecord> {
        for &(port, count) in packets {
            let mut stack = Stack::new();
            stack.message(&[0; 1_000]).wrap(Udp::new(port, 9)).wrap(Ipv4::new([10, 0, 0, 1], [10, 0, 0, 2]));
            for _ in 0..count {
                let frame = Frame::new(LinkType::RAW, stack.bytes());
                let layers = parse(&frame);
                meter.observe([Packet::new(frame, &layers)], |_| unreachable!("there is room"));
            }
        }
        meter.largest(Largest::WANTED)
    }

    fn shown(largest: &mut Largest, flows: Vec<FlowRecord>, all: usize) -> Vec<Vec<String>> {
        let mut out = Vec::new();
        let now = largest.shown + Duration::from_secs(8);
        assert!(largest.is_due(Duration::from_secs(8), now) && !largest.is_due(Duration::from_secs(9), now));
        largest.put((flows, all), (None, now), None, |_| (), &mut out);
        let text = String::from_utf8(out).unwrap();
        text.lines().map(|line| line.split_whitespace().map(str::to_owned).collect()).collect()
    }

    #[test]
    fn the_largest_come_first_with_what_they_sent_since() {
        let (mut largest, mut meter) = (Largest::new(false), Meter::new(MeterOptions::default()));
        let begun = flows(&mut meter, &[(1, 10), (2, 30), (3, 20)]);
        let lines = shown(&mut largest, begun, 3);
        let titles = ["proto", "from", "to", "packets", "back", "bytes", "back", "bit/s", "start", "time"];
        assert_eq!(lines[0][..10], titles);
        let ends: Vec<_> = lines[1..].iter().map(|line| line[1].as_str()).collect();
        assert_eq!(ends, ["10.0.0.1:2", "10.0.0.1:3", "10.0.0.1:1"]);
        // 30 packets within eight seconds.
        assert_eq!(lines[1][7..9], ["30.8", "k"]);
        let later = flows(&mut meter, &[(1, 40), (2, 1)]);
        let lines = shown(&mut largest, later, 23);
        assert_eq!(
            (lines[1][1].as_str(), &lines[1][7..9]),
            ("10.0.0.1:1", &["41.1".to_owned(), "k".to_owned()][..])
        );
        assert_eq!(
            (lines[2][1].as_str(), &lines[2][7..9]),
            ("10.0.0.1:2", &["1.03".to_owned(), "k".to_owned()][..])
        );
        assert_eq!((lines[3][1].as_str(), lines[3][7].as_str()), ("10.0.0.1:3", "0.00"));
        assert_eq!(lines[4].join(" "), "and 20 smaller flows");
    }

    #[test]
    fn of_an_older_flow_that_was_not_among_them_no_rate_is_known() {
        let second = Duration::from_secs(1);
        let mut meter = Meter::new(MeterOptions::default());
        let mut flow = flows(&mut meter, &[(1, 1)]).remove(0);
        assert_eq!(rate_of(&flow, None, second), "8.22 k");
        flow.first = Some(Timestamp::new(0, 0));
        flow.last = Some(Timestamp::new(9, 0));
        assert_eq!(rate_of(&flow, None, second), "-");
        assert_eq!(rate_of(&flow, Some(28), second), "8.00 k");
        assert_eq!(rate_of(&flow, Some(9_999), second), "-");
    }
}
