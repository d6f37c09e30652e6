//! Streams in files and packets from fragments, by hand and beside what another dissector makes of a corpus.

mod conversation;
#[path = "support/oracles.rs"]
mod oracles;

use conversation::{chat, tcp, udp, write};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use wharf::build::{Content, Ethernet, Ipv4, Stack, Tcp, Udp, Vxlan, fragments as cut};
use wharf::engine::Engine;
use wharf::flow::fragments::{Defragmenter, Options, Outcome};
use wharf::parse::{Fragment, Packet, parse};
use wharf::sink::{StreamFiles, each};
use wharf::source::CaptureFile;
use wharf::verify::{Verdict, verify};

/// The files that come of packets, by name.
fn streams(packets: &[Vec<u8>]) -> BTreeMap<String, Vec<u8>> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("in.pcap");
    write(&path, packets);
    let out = directory.path().join("out");
    let mut streams = StreamFiles::create(&out).unwrap();
    Engine::builder().source(CaptureFile::open(&path).unwrap()).rest(&mut streams).run().unwrap();
    let entries = fs::read_dir(out).unwrap().map(|entry| entry.unwrap());
    entries.map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap())).collect()
}

#[test]
fn each_direction_has_a_file_of_what_it_said_in_order() {
    let files = streams(&chat());
    let expected: [(&str, &[u8]); 2] = [
        ("tcp-10.0.0.1.40000-10.0.0.2.6667", b"hello\r\nwhoyou?\n"),
        ("tcp-10.0.0.2.6667-10.0.0.1.40000", b"salutot\xc3\xa9\x1b[2J\n"),
    ];
    assert_eq!(files, expected.map(|(name, bytes)| (name.to_owned(), bytes.to_vec())).into());
}

#[test]
fn ports_used_again_have_files_of_their_own() {
    let mut packets = chat();
    packets.push(tcp(0, Tcp::SYN, (7_000, 0), b""));
    packets.push(tcp(0, Tcp::ACK, (7_001, 1), b"again"));
    let files = streams(&packets);
    assert_eq!(files.len(), 3);
    assert_eq!(files["tcp-10.0.0.1.40000-10.0.0.2.6667.1"], b"again");
}

/// Two tenants whose addresses, ports and fragments are numbered alike, each in a network of its own.
#[test]
fn fragments_of_two_networks_make_two_streams() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("in.pcap");
    let mut packets = Vec::new();
    let said = |tenant: u32| vec![b'a' + tenant as u8; 1_200];
    let of = |tenant: u32| {
        let mut stack = Stack::new();
        let ip = Ipv4::new([10, 0, 0, 1], [10, 0, 0, 2]);
        stack.message(&said(tenant)).wrap(Tcp::new(1, 2).flags(Tcp::ACK).sequence(5)).wrap(ip);
        cut(&stack, 1_000, 7).into_iter().map(move |fragment| {
            let mut outer = Stack::new();
            outer.message(&fragment);
            outer.prepend(&[], Content::Ipv4);
            outer.wrap(Ethernet::new([2; 6], [4; 6])).wrap(Vxlan::new(100 + tenant)).wrap(Udp::new(5, 4_789));
            outer.wrap(Ipv4::new([1, 1, 1, 1], [2, 2, 2, 2]));
            outer.bytes().to_vec()
        })
    };
    // By turns.
    of(0).zip(of(1)).for_each(|(a, b)| packets.extend([a, b]));
    write(&path, &packets);
    let out = directory.path().join("out");
    let mut streams = StreamFiles::create(&out).unwrap().defragment(Options::default());
    Engine::builder().source(CaptureFile::open(&path).unwrap()).rest(&mut streams).run().unwrap();
    let read = |name| fs::read(out.join(name)).unwrap();
    assert_eq!(read("tcp-10.0.0.1.1-10.0.0.2.2"), said(0));
    assert_eq!(read("tcp-10.0.0.1.1-10.0.0.2.2.1"), said(1));
}

#[test]
fn a_directory_that_cannot_be_is_an_error_with_its_name() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    fs::write(&file, "").unwrap();
    let Err(error) = StreamFiles::create(file.join("streams")) else { panic!("under a file") };
    assert!(error.to_string().contains("file/streams"), "{error}");
}

#[test]
fn a_datagram_is_put_together_from_a_file() {
    let payload: Vec<u8> = (0..5_000_u16).map(|at| at as u8).collect();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("in.pcap");
    write(&path, &udp(0, &payload, 1_500));
    let whole = put_together(&path);
    assert_eq!(whole.len(), 1);
    assert_eq!(whole[&4].0, (17, Some((40_000, 6_667))));
    assert_eq!(whole[&4].1, Verdict::Good);
}

/// Protocol and ports of a packet, and the verdict over its transport checksum.
type Whole = ((u8, Option<(u16, u16)>), Verdict);
/// A table's rows, by column.
type Rows = Vec<BTreeMap<String, String>>;

/// By the number of the frame that completed them: protocol and ports, and the verdict over the transport checksum.
fn put_together(path: &Path) -> BTreeMap<u64, Whole> {
    let mut found = BTreeMap::new();
    let mut defragmenter = Defragmenter::new(Options::default());
    let sink = each(|packet: &Packet<'_>| {
        if let Outcome::Complete(carried) = defragmenter.packet(packet) {
            let layers = parse(&carried.frame());
            let whole = Packet::new(carried.frame(), &layers);
            let ip = whole.outer().expect("an IP packet");
            assert_eq!(ip.fragment, Fragment::Whole);
            assert_ne!(verify(&whole).ip, Verdict::Bad { found: 0, expected: 0 });
            let innermost = whole.innermost().expect("an IP packet");
            let verdicts = verify(&whole);
            let verdict = if whole.inner().is_some() { verdicts.inner_l4 } else { verdicts.l4 };
            let number = packet.frame().record.number;
            found.insert(number, ((innermost.protocol, whole.ports(innermost)), verdict));
        }
    });
    let source = CaptureFile::open(path).unwrap();
    // A damaged file's packets before the damage count.
    let _ = Engine::builder().source(source).rest(sink).run();
    found
}

/// The capture files of the corpus with an oracle of this kind, and its rows by column.
fn oracles(suffix: &str) -> Option<Vec<(PathBuf, Rows)>> {
    let Some(corpus) = std::env::var_os("WHARF_CORPUS") else {
        oracles::missing("WHARF_CORPUS is not set");
        return None;
    };
    let corpus = PathBuf::from(corpus);
    let mut found = Vec::new();
    let mut folders = vec![corpus.join("oracle")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let inside = path.strip_prefix(corpus.join("oracle")).unwrap().to_str().unwrap();
            let Some(capture) = inside.strip_suffix(suffix) else { continue };
            let text = fs::read_to_string(&path).unwrap();
            let mut lines = text.lines().map(|line| line.split('\t').map(str::to_owned));
            let head: Vec<_> = lines.next().unwrap().collect();
            let rows = lines.map(|line| head.iter().cloned().zip(line).collect()).collect();
            found.push((corpus.join("captures").join(capture), rows));
        }
    }
    assert!(!found.is_empty(), "no {suffix} under WHARF_CORPUS");
    Some(found)
}

#[test]
fn the_corpus_streams_are_those_of_another_dissector() {
    let Some(oracles) = oracles(".follow.tsv") else { return };
    if Command::new("sha256sum").arg("--version").output().is_err() {
        oracles::missing("no sha256sum");
        return;
    }
    let (mut streams, mut differing) = (0, Vec::new());
    for (capture, rows) in oracles {
        let directory = tempfile::tempdir().unwrap();
        let mut sink = StreamFiles::create(directory.path()).unwrap();
        // What is no capture to us the other one may still read.
        let Ok(source) = CaptureFile::open(&capture) else { continue };
        let _ = Engine::builder().source(source).rest(&mut sink).run();
        let files: Vec<_> =
            fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
        let sums = Command::new("sha256sum").args(&files).arg("/dev/null").output().unwrap();
        let text = String::from_utf8(sums.stdout).unwrap();
        let sums: BTreeSet<&str> = text.lines().filter_map(|line| line.split(' ').next()).collect();
        for row in rows.iter().filter(|row| row["missing_marker"] != "1") {
            for side in ["0", "1"] {
                let sum = &row[&format!("sha256_{side}")];
                if !["", "0"].contains(&&*row[&format!("bytes{side}")]) && !["", "-"].contains(&&**sum) {
                    streams += 1;
                    if !sums.contains(&**sum) {
                        differing.push(format!("{} {row:?}", capture.display()));
                    }
                }
            }
        }
    }
    assert!(differing.is_empty(), "{} of {streams}:\n{}", differing.len(), differing.join("\n"));
    assert!(streams > 100, "{streams}");
}

/// Packets that the other dissector puts together from fragments that overlap with different bytes: void by RFC 5722.
const VOID: (&str, u64) = ("ipv6-evasion__ipv6-malformed-fragments-1__frag-1.pcap", 9);

#[test]
fn the_corpus_fragments_make_the_packets_of_another_dissector() {
    let Some(oracles) = oracles(".defrag.tsv") else { return };
    let mut compared = 0;
    for (capture, rows) in oracles {
        let ours = put_together(&capture);
        let number = |row: &BTreeMap<String, String>| row["pkt_number"].parse::<u64>().ok();
        for row in rows.iter().filter(|row| number(row).is_some_and(|number| ours.contains_key(&number))) {
            let ((protocol, ports), verdict) = ours[&number(row).unwrap()];
            let name = match protocol {
                6 => "tcp",
                17 => "udp",
                58 => "icmpv6",
                other => panic!("{}: protocol {other}", capture.display()),
            };
            let depth = if row["outer_l4"] == "ip" { "inner" } else { "outer" };
            assert_eq!(row[&format!("{depth}_l4")], name, "{} {row:?}", capture.display());
            let port = |which: &str| row[&format!("{depth}_{which}")].parse::<u16>().ok();
            assert_eq!(port("sport").zip(port("dport")), ports, "{}", capture.display());
            let status = &row[&format!("{name}.checksum.status")];
            let right = match verdict {
                Verdict::Good => "1",
                Verdict::Bad { .. } => "0",
                _ => "3",
            };
            assert_eq!(status, right, "{} frame {}", capture.display(), row["pkt_number"]);
            compared += 1;
        }
        // And none that it has put together is missing here.
        let before = fs::read_to_string(capture.to_str().unwrap().replace("/captures/", "/oracle/") + ".tsv");
        for (row, alone) in rows.iter().zip(before.unwrap().lines().skip(1)) {
            let alone: Vec<_> = alone.split('\t').collect();
            let gained = row["outer_l4"] != "data" && alone.contains(&"data");
            if let (true, Some(number)) = (gained, number(row)) {
                if capture.to_str().unwrap().ends_with(VOID.0) && number == VOID.1 {
                    assert!(!ours.contains_key(&number));
                    continue;
                }
                assert!(ours.contains_key(&number), "{} frame {number}", capture.display());
            }
        }
    }
    assert!(compared >= 10, "{compared}");
}
