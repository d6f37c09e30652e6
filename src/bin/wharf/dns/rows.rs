//! A lookup as a line: for people, as JSON, as comma-separated values.

use super::columns::{COUNT, Columns};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::Serialize;
use std::fmt::Write as _;
use std::net::IpAddr;
use std::time::Duration;
use wharf::flow::names::{Lookup, Names, Outcome, Reply};
use wharf::frame::Timestamp;
use wharf::parse::dns::{RecordType, rcode_mnemonic};

/// Lines of a file that are held back.
const HELD: usize = 500;

/// How lookups are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Text { numeric: bool },
    Json,
    Csv,
}

/// Writes lines, after a header where there is one.
pub(super) struct Rows {
    format: Format,
    zone: TimeZone,
    begun: bool,
    columns: Columns,
    /// The day of the last line.
    day: Option<Date>,
}

const CSV_HEADER: &str = "time,client,client_port,server,server_port,protocol,transport,id,name,type,class,\
                          outcome,rcode,latency_us,repeats,truncated,cut,answers\r\n";

impl Rows {
    /// On a terminal, of so many columns. Of a file that is there the first lines are held back, until it is known how wide
    /// columns are; others are shown as they come.
    pub(super) fn new(format: Format, terminal: Option<usize>, file: bool) -> Self {
        let columns = Columns::new(terminal, if file { HELD } else { 0 });
        Self { format, zone: TimeZone::system(), begun: false, columns, day: None }
    }

    pub(super) fn write(&mut self, lines: &mut Vec<u8>, lookup: &Lookup, names: &Names) {
        self.begin(lines);
        match self.format {
            Format::Text { numeric } => {
                let cells = self.text(lookup, (!numeric).then_some(names));
                self.begin_day(lookup.asked, lines);
                self.columns.add(cells, lines);
            }
            Format::Json => {
                // Nothing in it can fail to be written.
                let _ = serde_json::to_writer(&mut *lines, &Object::of(lookup));
                lines.push(b'\n');
            }
            Format::Csv => lines.extend(csv(lookup).bytes()),
        }
    }

    /// A table without rows has its header all the same.
    pub(super) fn finish(&mut self, lines: &mut Vec<u8>) {
        if self.format == Format::Csv {
            self.begin(lines);
        }
        self.columns.flush(lines);
    }

    fn begin(&mut self, lines: &mut Vec<u8>) {
        if std::mem::replace(&mut self.begun, true) {
            return;
        }
        match self.format {
            Format::Text { .. } => {
                let titles = ["TIME", "CLIENT", "SERVER", "TYPE", "NAME", "RESULT", "LATENCY", "ANSWERS"];
                self.columns.add(titles.map(str::to_owned), lines);
            }
            Format::Csv => lines.extend(CSV_HEADER.bytes()),
            Format::Json => {}
        }
    }

    /// A line with the day, when it is another one than that of the line before.
    fn begin_day(&mut self, time: Timestamp, lines: &mut Vec<u8>) {
        let Ok(instant) = jiff::Timestamp::from_second(time.seconds) else { return };
        let day = instant.to_zoned(self.zone.clone()).date();
        if self.day.replace(day) != Some(day) {
            self.columns.add_line(day.to_string(), lines);
        }
    }

    fn text(&self, lookup: &Lookup, names: Option<&Names>) -> [String; COUNT] {
        let (client, server) = (lookup.client.0, lookup.server.0);
        let shown = |address: IpAddr| {
            let name = names.and_then(|names| names.name_for(client, address, lookup.asked));
            name.map_or_else(|| address.to_string(), printable)
        };
        let mut result = result_of(lookup);
        if lookup.repeats > 0 {
            // The multiplication sign: asked so often.
            let _ = write!(result, " x{}", lookup.repeats + 1);
        }
        let latency = lookup.reply().map_or_else(|| "-".to_owned(), |reply| latency(reply.latency));
        [
            self.time_of_day(lookup.asked),
            shown(client),
            shown(server),
            lookup.kind.to_string(),
            name_of(lookup),
            result,
            latency,
            lookup.reply().map_or_else(String::new, answers),
        ]
    }

    fn time_of_day(&self, time: Timestamp) -> String {
        let local = jiff::Timestamp::from_second(time.seconds)
            .map(|instant| instant.to_zoned(self.zone.clone()).strftime("%H:%M:%S").to_string());
        format!("{}.{:06}", local.unwrap_or_else(|_| time.seconds.to_string()), time.nanos / 1_000)
    }
}

/// In one word: a response code, or why there is none.
pub(super) fn result_of(lookup: &Lookup) -> String {
    match &lookup.outcome {
        Outcome::Answered(reply) if reply.rcode == 0 && reply.cut => "CUT".to_owned(),
        Outcome::Answered(reply) if reply.rcode == 0 && reply.truncated => "TRUNCATED".to_owned(),
        Outcome::Answered(reply) if reply.rcode == 0 && reply.answers.is_empty() => "NODATA".to_owned(),
        Outcome::Answered(Reply { rcode, .. }) => {
            rcode_mnemonic(*rcode).map_or_else(|| format!("RCODE{rcode}"), str::to_owned)
        }
        other => outcome_key(other).to_owned(),
    }
}

fn outcome_key(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Answered(_) => "answered",
        Outcome::Unanswered => "unanswered",
        Outcome::Evicted => "given up",
        _ => "open",
    }
}

/// QNAME, of which the root is a dot.
pub(super) fn name_of(lookup: &Lookup) -> String {
    if lookup.name.is_empty() { ".".to_owned() } else { printable(&lookup.name) }
}

/// What is asked for, and the aliases on the way; TTLs are in JSON.
fn answers(reply: &Reply) -> String {
    const MOST: usize = 8;
    let mut text = String::new();
    for (index, answer) in reply.answers.iter().take(MOST).enumerate() {
        let aliased = answer.kind == RecordType::CNAME;
        text += if index > 0 { ", " } else { "" };
        text += if aliased { "= " } else { "" };
        text += &printable(&answer.data);
    }
    if reply.answers.len() > MOST {
        let _ = write!(text, ", and {} more", reply.answers.len() - MOST);
    }
    text
}

/// Names are a stranger's: what would steer a terminal is left out.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

pub(super) fn latency(time: Duration) -> String {
    let micros = time.as_micros();
    match micros {
        0..1_000 => format!("{micros} us"),
        1_000..1_000_000 => format!("{:.1} ms", micros as f64 / 1e3),
        _ => format!("{:.2} s", time.as_secs_f64()),
    }
}

/// A lookup as JSON has it.
#[derive(Serialize)]
struct Object<'a> {
    /// `seconds.nanoseconds` since 1970, UTC, as in `wharf sniff --json`.
    time: String,
    client: IpAddr,
    client_port: u16,
    server: IpAddr,
    server_port: u16,
    protocol: &'static str,
    transport: &'static str,
    id: u16,
    name: &'a str,
    r#type: String,
    class: u16,
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    rcode: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    latency_us: Option<u64>,
    repeats: u32,
    truncated: bool,
    /// Not all of the answer could be read.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    cut: bool,
    answers: Vec<AnswerObject<'a>>,
}

#[derive(Serialize)]
struct AnswerObject<'a> {
    name: &'a str,
    r#type: String,
    ttl: u32,
    data: &'a str,
}

impl<'a> Object<'a> {
    fn of(lookup: &'a Lookup) -> Self {
        let reply = lookup.reply();
        let answers = reply.map_or(&[][..], |reply| &reply.answers);
        let object = |answer: &'a wharf::flow::names::Answer| AnswerObject {
            name: &answer.name,
            r#type: answer.kind.to_string(),
            ttl: answer.ttl,
            data: &answer.data,
        };
        Self {
            time: lookup.asked.to_string(),
            client: lookup.client.0,
            client_port: lookup.client.1,
            server: lookup.server.0,
            server_port: lookup.server.1,
            protocol: lookup.service.key(),
            transport: if lookup.tcp { "tcp" } else { "udp" },
            id: lookup.id,
            name: &lookup.name,
            r#type: lookup.kind.to_string(),
            class: lookup.class,
            outcome: outcome_key(&lookup.outcome),
            rcode: reply.map(|reply| reply.rcode),
            latency_us: reply.map(|reply| u64::try_from(reply.latency.as_micros()).unwrap_or(u64::MAX)),
            repeats: lookup.repeats,
            truncated: reply.is_some_and(|reply| reply.truncated),
            cut: reply.is_some_and(|reply| reply.cut),
            answers: answers.iter().map(object).collect(),
        }
    }
}

/// The same members; the answers' data joined by blanks.
fn csv(lookup: &Lookup) -> String {
    let object = Object::of(lookup);
    let optional = |value: Option<u64>| value.map_or_else(String::new, |value| value.to_string());
    let answers: Vec<&str> = object.answers.iter().map(|answer| answer.data).collect();
    let cells = [
        object.time,
        object.client.to_string(),
        object.client_port.to_string(),
        object.server.to_string(),
        object.server_port.to_string(),
        object.protocol.to_owned(),
        object.transport.to_owned(),
        object.id.to_string(),
        quoted(object.name),
        object.r#type,
        object.class.to_string(),
        object.outcome.to_owned(),
        optional(object.rcode.map(u64::from)),
        optional(object.latency_us),
        object.repeats.to_string(),
        object.truncated.to_string(),
        object.cut.to_string(),
        quoted(&answers.join(" ")),
    ];
    cells.join(",") + "\r\n"
}

/// RFC 4180 2: in quotes where it has to be, with quotes doubled.
fn quoted(text: &str) -> String {
    if text.contains(['"', ',', '\r', '\n']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wharf::flow::names::{Answer, NamesOptions, Service};

    fn lookup(outcome: Outcome) -> Lookup {
        Lookup {
            asked: Timestamp::new(1_700_000_000, 5_000),
            client: ([10, 0, 0, 1].into(), 40_000),
            server: ([9, 9, 9, 9].into(), 53),
            service: Service::Dns,
            tcp: false,
            id: 7,
            name: "a,\"b\x1b.test".into(),
            kind: RecordType::A,
            class: 1,
            repeats: 1,
            outcome,
        }
    }

    fn answered(data: &str) -> Lookup {
        let answer = Answer { name: "a".into(), kind: RecordType::A, ttl: 60, data: data.into() };
        let latency = Duration::from_micros(12_345);
        lookup(Outcome::Answered(Reply {
            latency,
            rcode: 0,
            truncated: false,
            cut: false,
            answers: vec![answer],
        }))
    }

    fn lines(format: Format, lookup: &Lookup) -> Vec<String> {
        let mut rows = Rows { zone: TimeZone::UTC, ..Rows::new(format, None, false) };
        let mut lines = Vec::new();
        rows.write(&mut lines, lookup, &Names::new(NamesOptions::default()));
        rows.finish(&mut lines);
        String::from_utf8(lines).unwrap().lines().map(str::to_owned).collect()
    }

    #[test]
    fn a_line_for_people() {
        let [header, day, line] = &lines(Format::Text { numeric: true }, &answered("192.0.2.7"))[..] else {
            panic!()
        };
        assert!(header.starts_with("TIME             CLIENT           SERVER"), "{header}");
        assert_eq!(day, "2023-11-14");
        let words: Vec<_> = line.split_whitespace().collect();
        let expected = [
            "22:13:20.000005",
            "10.0.0.1",
            "9.9.9.9",
            "A",
            "a,\"b\u{fffd}.test",
            "NOERROR",
            "x2",
            "12.3",
            "ms",
            "192.0.2.7",
        ];
        assert_eq!(words, expected);
        let [.., line] = &lines(Format::Text { numeric: true }, &lookup(Outcome::Unanswered))[..] else {
            panic!()
        };
        assert!(line.ends_with("unanswered x2  -"), "{line}");
    }

    #[test]
    fn a_line_for_machines() {
        let [line] = &lines(Format::Json, &answered("192.0.2.7"))[..] else { panic!() };
        let object: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!((&object["name"], &object["rcode"]), (&"a,\"b\x1b.test".into(), &0.into()));
        assert_eq!((&object["latency_us"], &object["answers"][0]["ttl"]), (&12_345.into(), &60.into()));
        let [line] = &lines(Format::Json, &lookup(Outcome::Unanswered))[..] else { panic!() };
        let object: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(object.get("rcode").is_none() && object["outcome"] == "unanswered");
    }

    #[test]
    fn values_have_as_many_columns_as_the_header() {
        let [header, line] = &lines(Format::Csv, &answered("x,y"))[..] else { panic!() };
        assert_eq!(
            line,
            "1700000000.000005000,10.0.0.1,40000,9.9.9.9,53,dns,udp,7,\"a,\"\"b\x1b.test\",A,1,answered,0,12345,1,false,false,\"x,y\""
        );
        assert_eq!(header.split(',').count(), 18);
    }
}
