//! What is found of TCP segments, against what an independent dissector found: with `WHARF_CORPUS` set.

#[path = "support/oracles.rs"]
mod oracles;

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use wharf::batch;
use wharf::flow::{Connection, Findings, FlowKey, Segment};
use wharf::parse::Packet;
use wharf::source::{CaptureFile, Fill, Source};

/// Of the frames that one side or both have found something in.
#[derive(Clone, Copy, Debug, Default)]
struct Agreement {
    both: u32,
    ours: u32,
    theirs: u32,
}

impl Agreement {
    fn add(&mut self, ours: bool, theirs: bool) {
        self.both += u32::from(ours && theirs);
        self.ours += u32::from(ours && !theirs);
        self.theirs += u32::from(theirs && !ours);
    }

    fn precision(&self) -> f64 {
        f64::from(self.both) / f64::from(self.both + self.ours)
    }

    fn recall(&self) -> f64 {
        f64::from(self.both) / f64::from(self.both + self.theirs)
    }
}

/// What is compared: our finding, and the dissector's columns, any of which counts.
const COMPARED: [(&str, Findings, &[&str], f64); 5] = [
    (
        "old data",
        Findings::OLD_DATA,
        &["retransmission", "fast_retransmission", "spurious_retransmission", "out_of_order"],
        0.97,
    ),
    ("lost segment", Findings::AFTER_LOSS, &["lost_segment"], 0.95),
    // Not owed as much: after a gap the dissector goes back to what it last saw and says the same acknowledgment again; here
    // each is said once.
    (UNSEEN, Findings::ACKS_UNSEEN, &["ack_lost_segment"], 0.80),
    ("keep-alive", Findings::KEEP_ALIVE, &["keep_alive"], 0.95),
    ("zero window", Findings::ZERO_WINDOW, &["zero_window"], 0.95),
];

/// Where the dissector is not the truth: it takes segments in different VLANs for one connection.
const NOT_COMPARED: [&str; 2] = ["zeek/vlan-pcp-dei.pcapng", "zeek/vlan-collisions.pcap"];

/// Differences that are known, by file, frames and finding; `true`: it is ours alone.
const KNOWN: [(&str, &[u64], &str, bool, &str); 6] = [
    (
        "dnscap/dnso1tcp-midmiss.pcap",
        &[16],
        UNSEEN,
        false,
        "acknowledges the end of what frame 15 brought: only what lies before that is missing, and frame 14 has told of it",
    ),
    (
        "pcapplusplus/packetpp__ldap.pcapng",
        &[19],
        UNSEEN,
        true,
        "acknowledges 2056504484; of that side frame 16 ends at 2056504237, frame 18 has acknowledged up to 2056504404, and nothing of \
         it comes between",
    ),
    (
        "pcapplusplus/packetpp__ldap.pcapng",
        &[22],
        UNSEEN,
        false,
        "acknowledges the end of what frame 21 brought; frame 20 has told of what is missing before that",
    ),
    (
        "snabb/sanitized4k_truncated128.pcap",
        &[2742],
        UNSEEN,
        false,
        "acknowledges the same as frame 2740, of which it is told: once is enough",
    ),
    (
        "zeek/tcp__reassembly.pcap",
        &[105],
        UNSEEN,
        true,
        "acknowledges 3401106679; of that side nothing behind 3401105231 has come",
    ),
    (
        "zeek/tcp__reassembly.pcap",
        &[10, 88, 107],
        UNSEEN,
        false,
        "acknowledges the end of the frame before it; of the gap before that the acknowledgment two frames before has told",
    ),
];

const UNSEEN: &str = "acknowledged and not seen";

/// Each TCP frame's findings, by number.
fn ours(path: &Path) -> HashMap<u64, Findings> {
    let mut found = HashMap::new();
    let Ok(mut source) = CaptureFile::open(path) else { return found };
    let mut connections: HashMap<FlowKey, Connection> = HashMap::new();
    let mut findings = batch::Findings::new();
    // A damaged file ends with what could be read of it.
    while let Ok(Fill::Batch(batch)) = source.fill(256) {
        findings.read(batch);
        for (index, frame) in batch.frames().enumerate() {
            let packet = Packet::new(frame, findings.layers(&frame, index));
            let Some(keyed) = FlowKey::of(&packet) else { continue };
            let Some(segment) = Segment::of(&packet, &keyed.ip) else { continue };
            let from = usize::from(keyed.reversed);
            let connection = connections.entry(keyed.key).or_default();
            if connection.is_followed_by(&segment, from) {
                *connection = Connection::default();
            }
            let time = frame.record.time.map_or(0, |time| {
                time.seconds.saturating_mul(1_000_000_000).saturating_add(time.nanos.into())
            });
            found.insert(frame.record.number, connection.observe(&segment, from, time, 0));
        }
    }
    found
}

fn tables(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut tables: Vec<_> = entries
        .flat_map(|path| if path.is_dir() { tables(&path) } else { vec![path] })
        .filter(|path| {
            let name = path.to_str().unwrap_or_default();
            name.ends_with(".tsv")
                && ![".flows.tsv", ".follow.tsv", ".defrag.tsv"].iter().any(|end| name.ends_with(end))
        })
        .collect();
    tables.sort();
    tables
}

#[test]
fn segments_are_judged_as_by_an_independent_dissector() {
    let Some(corpus) = std::env::var_os("WHARF_CORPUS") else {
        oracles::missing("WHARF_CORPUS is not set");
        return;
    };
    let (captures, oracle) = (Path::new(&corpus).join("captures"), Path::new(&corpus).join("oracle"));
    let mut agreements = [Agreement::default(); COMPARED.len()];
    let (mut differences, mut met) = (Vec::new(), 0);
    for table in tables(&oracle) {
        let name = table.strip_prefix(&oracle).unwrap().with_extension("");
        if NOT_COMPARED.iter().any(|other| name == Path::new(other)) {
            continue;
        }
        let text = fs::read_to_string(&table).unwrap();
        let mut lines = text.lines().map(|line| line.split('\t').collect::<Vec<_>>());
        let head = lines.next().unwrap();
        let column = |name: &str| head.iter().position(|column| *column == name).unwrap();
        let (number, protocol, depth) = (column("pkt_number"), column("outer_l4"), column("l3_depth"));
        let found = ours(&captures.join(&name));
        for row in lines {
            let value = |at: usize| row.get(at).copied().unwrap_or_default();
            let Ok(packet) = value(number).parse() else { continue };
            if value(protocol) != "tcp" || value(depth) != "1" {
                continue;
            }
            let Some(ours) = found.get(&packet) else { continue };
            for ((what, finding, columns, _), agreement) in COMPARED.iter().zip(&mut agreements) {
                let theirs =
                    columns.iter().any(|name| !value(column(&format!("tcp.analysis.{name}"))).is_empty());
                let ours = ours.contains(*finding);
                agreement.add(ours, theirs);
                if ours == theirs {
                    continue;
                }
                let is_known = |(file, frames, finding, is_ours, _): &(&str, &[u64], &str, bool, &str)| {
                    name == Path::new(file) && frames.contains(&packet) && finding == what && *is_ours == ours
                };
                if KNOWN.iter().any(is_known) {
                    met += 1;
                } else {
                    differences
                        .push(format!("{}#{packet}: {what}: ours {ours}, theirs {theirs}", name.display()));
                }
            }
        }
    }
    for ((what, .., owed), agreement) in COMPARED.iter().zip(agreements) {
        let (precision, recall) = (agreement.precision(), agreement.recall());
        eprintln!("{what}: {agreement:?}, precision {precision:.4}, recall {recall:.4}, owed {owed}");
    }
    assert!(differences.is_empty(), "not among those known:\n{}", differences.join("\n"));
    // Another corpus need not have them.
    let there = KNOWN.iter().filter(|(file, ..)| captures.join(file).exists());
    let known: usize = there.map(|(_, frames, ..)| frames.len()).sum();
    assert_eq!(met, known, "known differences that are none");
    for ((what, .., owed), agreement) in COMPARED.iter().zip(agreements) {
        assert!(agreement.both > 0, "{what}: none to tell by");
        assert!(agreement.precision() >= *owed && agreement.recall() >= *owed, "{what}: {agreement:?}");
    }
}
