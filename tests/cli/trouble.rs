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
    assert_eq!((times.first(), times.last()), (Some(&3_002), Some(&4_501)), "{err}");
    assert_eq!(times.len(), 500 + 1 + 250, "{err}");
    assert!(err.contains("8001 received = 751 delivered + 7250 filtered out + 0 dropped"), "{err}");
    assert!(err.contains("trouble: loss 1 time; 751 packets written"), "{err}");

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

/// The TCP checksum of a bare IPv4 packet, as a host leaves it to its device: the sum of the pseudo header alone.
fn left_to_the_device(mut packet: Vec<u8>) -> Vec<u8> {
    let length = packet.len() as u32 - 20;
    let words = packet[12..20].chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])));
    let sum = words.sum::<u32>() + 6 + length;
    let folded = (sum & 0xffff) + (sum >> 16);
    packet[36..38].copy_from_slice(&(((folded & 0xffff) + (folded >> 16)) as u16).to_be_bytes());
    packet
}

/// Captured on the host that sends: nothing is wrong, as `flows` says, too.
#[test]
fn sums_left_to_the_device_are_no_trouble() {
    let dir = tempdir().unwrap();
    let (input, output) = (dir.path().join("in.pcap"), dir.path().join("out.pcap"));
    let packets = (0..5).map(|at| left_to_the_device(tcp(0, Tcp::ACK, (100 + 2 * at, 1), b"xx")));
    let mut packets: Vec<_> = packets.collect();
    let (input, out) = (input.to_str().unwrap(), output.to_str().unwrap());
    write(input.as_ref(), &packets);
    let arguments = ["sniff", "-r", input, "--trouble", "checksum", "-w", out];
    let (_, _, err) = run(arguments);
    assert!(err.contains("trouble: none; 0 packets written"), "{err}");
    // One that is wrong is told all the same.
    packets[3][37] ^= 1;
    write(input.as_ref(), &packets);
    let (_, _, err) = run(arguments);
    assert!(err.contains("trouble: checksum 1 time; 5 packets written"), "{err}");
}

/// Its receiver throws it away: it neither cuts off nor tells of a loss, and it answers nothing.
#[test]
fn what_came_damaged_is_not_believed() {
    let dir = tempdir().unwrap();
    let (input, output) = (dir.path().join("in.pcap"), dir.path().join("out.pcap"));
    let damaged = |mut packet: Vec<u8>| {
        packet[36] ^= 1;
        packet
    };
    let mut packets = vec![
        tcp(0, Tcp::SYN, (99, 0), b""),
        damaged(tcp(1, Tcp::SYN | Tcp::ACK, (499, 100), b"")),
        tcp(0, Tcp::ACK, (100, 500), b"one"),
        damaged(tcp(0, Tcp::ACK, (9_103, 500), b"two")),
        damaged(tcp(0, Tcp::RST, (103, 500), b"")),
        tcp(0, Tcp::ACK, (103, 500), b"two"),
    ];
    packets.extend((0..40).map(|at| tcp(0, Tcp::ACK, (106 + at, 1), b"x")));
    write(&input, &packets);
    let (input, out) = (input.to_str().unwrap(), output.to_str().unwrap());
    let trouble = |kinds| {
        let (_, _, err) =
            run(["sniff", "-r", input, "--trouble", kinds, "--before", "20ms", "--after", "10ms", "-w", out]);
        err
    };
    assert!(trouble("loss,reset").contains("trouble: none; 0 packets written"), "{}", trouble("loss,reset"));
    let all = trouble("loss,reset,checksum,unanswered");
    assert!(all.contains("trouble: checksum 3 times, unanswered 1 time;"), "{all}");
}

/// An enhanced packet block of pcapng, of an interface of bare IP packets, and how many packets were lost just before it.
fn block(micros: u32, packet: &[u8], lost: Option<u64>) -> Vec<u8> {
    let mut body = [0, 0, micros, packet.len() as u32, packet.len() as u32].map(u32::to_le_bytes).concat();
    body.extend(packet);
    body.resize(body.len().next_multiple_of(4), 0);
    if let Some(lost) = lost {
        body.extend([4, 0, 8, 0]);
        body.extend(lost.to_le_bytes());
        body.extend([0; 4]);
    }
    let length = (body.len() as u32 + 12).to_le_bytes();
    [&6_u32.to_le_bytes()[..], &length, &body, &length].concat()
}

/// What this capture has dropped is not the network's loss; what follows is judged again.
#[test]
fn what_the_capture_dropped_is_no_loss() {
    let dir = tempdir().unwrap();
    let (input, output) = (dir.path().join("in.pcapng"), dir.path().join("out.pcapng"));
    let says = |sequence| tcp(0, Tcp::ACK, (sequence, 1), b"xx");
    let (input, out) = (input.to_str().unwrap(), output.to_str().unwrap());
    for (lost, expected) in [(Some(3), "loss 1 time"), (None, "loss 2 times")] {
        let mut file =
            [0x0a0d_0d0a_u32, 28, 0x1a2b_3c4d, 1, u32::MAX, u32::MAX, 28].map(u32::to_le_bytes).concat();
        file.extend([1, 20, 101, 0, 20_u32].map(u32::to_le_bytes).concat());
        file.extend(block(1, &says(100), None));
        file.extend(block(2, &says(110), lost));
        // Another one on the wire, of which the capture knows nothing.
        file.extend(block(3, &says(120), None));
        std::fs::write(input, file).unwrap();
        let (code, _, err) = run(["sniff", "-r", input, "--trouble", "loss", "-w", out]);
        assert!(code == 0 && err.contains(expected), "{lost:?}: {err}");
    }
}

/// What the capture has seen twice was not sent twice.
#[test]
fn copies_of_the_capture_are_no_loss() {
    let dir = tempdir().unwrap();
    let (input, output) = (dir.path().join("in.pcap"), dir.path().join("out.pcap"));
    let says = |sequence: u32, identification: u16| {
        let ((from, sport), (to, dport)) = (ENDS[0], ENDS[1]);
        let header = Tcp::new(sport, dport).flags(Tcp::ACK).sequence(sequence);
        let mut stack = Stack::new();
        stack.message(b"xx").wrap(header).wrap(Ipv4::new(from, to).identification(identification));
        stack.bytes().to_vec()
    };
    let (input, out) = (input.to_str().unwrap(), output.to_str().unwrap());
    let trouble = || run(["sniff", "-r", input, "--trouble", "loss", "-w", out]).2;
    let mut packets: Vec<_> = (0..5)
        .flat_map(|at| [says(100 + 2 * at, 1 + at as u16), says(100 + 2 * at, 1 + at as u16)])
        .collect();
    write(input.as_ref(), &packets);
    assert!(trouble().contains("trouble: none; 0 packets written"), "{}", trouble());
    // Under another number it is the sender's.
    packets.push(says(108, 9));
    write(input.as_ref(), &packets);
    assert!(trouble().contains("trouble: loss 1 time"), "{}", trouble());
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
