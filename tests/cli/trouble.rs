//! `wharf sniff --trouble`: only what went wrong, and what came before it.

use super::run;
use crate::conversation::{ENDS, tcp, udp, write};
use std::path::Path;
use tempfile::tempdir;
use wharf::build::{Ipv4, Stack, Tcp};
use wharf::frame::Timestamp;
use wharf::source::{CaptureFile, Fill, Source};

/// A millisecond apart: 8 s of a flow in which nothing happens but a repetition in the middle, and of others.
fn packets() -> Vec<Vec<u8>> {
    let mut packets = Vec::new();
    for at in 0..4_000_u32 {
        packets.push(tcp(0, Tcp::ACK, (100 + 2 * at, 1), b"xx"));
        if at == 2_000 {
            packets.push(tcp(0, Tcp::ACK, (100 + 2 * at, 1), b"xx"));
        }
        // Of another flow: nothing is wrong with it.
        let mut stack = Stack::new();
        let header = Tcp::new(5, 6).sequence(at);
        stack.message(b"y").wrap(header).wrap(Ipv4::new([1, 1, 1, 1], [2, 2, 2, 2]));
        packets.push(stack.bytes().to_vec());
    }
    packets
}

/// The times of a file's packets, in milliseconds since 1700000000.
fn times(path: &Path) -> Vec<i64> {
    let mut file = CaptureFile::open(path).unwrap();
    let mut times = Vec::new();
    while let Ok(Fill::Batch(batch)) = file.fill(256) {
        let since = |time: Timestamp| time.nanos_since(Timestamp::new(1_700_000_000, 0)) / 1_000_000;
        times.extend(batch.records().iter().map(|record| since(record.time.unwrap())));
    }
    times
}

#[test]
fn a_flow_is_written_from_before_its_trouble_to_after_it() {
    let dir = tempdir().unwrap();
    let (input, output) = (dir.path().join("in.pcap"), dir.path().join("out.pcap"));
    write(&input, &packets());
    let (input, out) = (input.to_str().unwrap(), output.to_str().unwrap());
    let arguments =
        ["sniff", "-r", input, "--trouble", "loss", "--before", "1s", "--after", "500ms", "-w", out];
    let (code, _, err) = run(arguments);
    assert_eq!(code, 0, "{err}");
    let times = times(&output);
    assert!(times.is_sorted());
    // The repetition is the packet at 4001 ms; half of all packets are of its flow.
    assert_eq!((times.first(), times.last()), (Some(&3_002), Some(&4_500)), "{err}");
    assert_eq!(times.len(), 500 + 1 + 250, "{err}");
    assert!(err.contains("8001 received = 751 delivered + 7250 filtered out + 0 dropped"), "{err}");
    assert!(err.contains("trouble: loss 1 times; 751 packets written"), "{err}");

    let (_, _, err) = run(["sniff", "-r", input, "--trouble", "reset,checksum", "-w", out]);
    assert!(err.contains("8001 received = 0 delivered + 8001 filtered out + 0 dropped"), "{err}");
    assert!(err.contains("trouble: none; 0 packets written"), "{err}");
    // Little memory: what came before is decided on early, and that is told.
    let small = ["--trouble-memory", "64k"];
    let (_, _, err) = run(arguments.into_iter().chain(small));
    assert!(err.contains("memory was full") && !err.contains(" 0 packets written"), "{err}");
}

#[test]
fn resets_wrong_checksums_and_requests_without_an_answer() {
    let dir = tempdir().unwrap();
    let (input, output) = (dir.path().join("in.pcap"), dir.path().join("out.pcap"));
    let ((from, sport), (to, _)) = (ENDS[0], ENDS[1]);
    let ask = |port: u16| {
        let mut stack = Stack::new();
        stack.message(b"").wrap(Tcp::new(sport, port).flags(Tcp::SYN).sequence(9)).wrap(Ipv4::new(from, to));
        stack.bytes().to_vec()
    };
    let answer = {
        let mut stack = Stack::new();
        let header = Tcp::new(81, sport).flags(Tcp::SYN | Tcp::ACK).sequence(7).acknowledgment(10);
        stack.message(b"").wrap(header).wrap(Ipv4::new(to, from));
        stack.bytes().to_vec()
    };
    let mut wrong = udp(0, b"wrong", 1_500).remove(0);
    wrong[30] ^= 1;
    // 80 is never answered, 81 is; then a wrong checksum, a reset, and 200 ms of others.
    let mut packets = vec![ask(80), ask(81), answer, wrong, tcp(1, Tcp::RST, (1, 0), b"")];
    packets.extend((0..200).map(|at| tcp(0, Tcp::ACK, (1_000 + at, 1), b"x")));
    write(&input, &packets);
    let (input, out) = (input.to_str().unwrap(), output.to_str().unwrap());
    for (kinds, expected) in [
        ("unanswered", &[0][..]),
        ("checksum", &[3]),
        ("reset", &[4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14]),
        ("unanswered,checksum", &[0, 3]),
    ] {
        let (code, _, err) =
            run(["sniff", "-r", input, "--trouble", kinds, "--before", "20ms", "--after", "10ms", "-w", out]);
        assert_eq!((code, &times(&output)[..]), (0, expected), "{kinds}: {err}");
    }
}

#[test]
fn trouble_wants_a_file_and_kinds_there_are() {
    for (arguments, words) in [
        (&["--trouble", "loss"][..], "--write"),
        (&["--trouble", "loss,bad", "-w", "x"], "some of loss, reset, checksum, unanswered"),
        (&["--before", "5s", "-w", "x"], "--trouble"),
        (&["--trouble", "loss", "-w", "x", "--print"], "--print"),
    ] {
        let (code, _, err) = run(["sniff", "-r", "none"].into_iter().chain(arguments.iter().copied()));
        assert!(code == 2 && err.contains(words), "{arguments:?}: {code} {err}");
    }
}
