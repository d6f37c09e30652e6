//! Flow records as IPFIX, taken in by other tools: what they count is what was sent.

#[path = "support/oracles.rs"]
mod oracles;
#[path = "support/records.rs"]
mod records;

use std::io::Read;
use std::net::{IpAddr, TcpListener, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};
use wharf::engine::Engine;
use wharf::flow::{FlowNames, FlowRecord};
use wharf::frame::Timestamp;
use wharf::parse::TcpFlags;
use wharf::sink::{CaptureFileWriter, FlowExport, Ipfix, IpfixEncoder};
use wharf::source::synthetic::{Synthetic, Traffic};

/// Flows of both versions, TCP and UDP, in one direction and in both.
fn records(count: u16) -> Vec<FlowRecord> {
    let record = |at: u16| {
        let [a, b]: [IpAddr; 2] = match at % 3 {
            2 => ["fd00::1".parse().unwrap(), "fd00::2".parse().unwrap()],
            _ => [[10, 0, (at >> 8) as u8, at as u8].into(), [192, 0, 2, 7].into()],
        };
        let protocol = if at.is_multiple_of(2) { 6 } else { 17 };
        let both = u64::from(!at.is_multiple_of(4));
        let headers = if at % 3 == 2 { 40 } else { 20 } + if protocol == 6 { 20 } else { 8 };
        let second = 1_700_000_000 + i64::from(at);
        FlowRecord {
            first: Some(Timestamp::new(second, 500_000_000)),
            last: Some(Timestamp::new(second + 2, 0)),
            packets: [3 + u64::from(at), both * 2],
            // Of Ethernet, without options: as long as their headers and payload say.
            bytes: [(14 + headers) * (3 + u64::from(at)) + 100, both * ((14 + headers) * 2 + 5_000_000_000)],
            payload: [100, both * 5_000_000_000],
            tcp_flags: [TcpFlags(0x1b), TcpFlags(0x12)],
            ttl: [(63, 64), (50, 55)],
            names: names(at),
            ..records::record((a, 40_000 + at), (b, 443), protocol)
        }
    };
    (0..count).map(record).collect()
}

/// Of every third flow one of TLS, HTTP and a name of great length.
fn names(at: u16) -> Option<Box<FlowNames>> {
    let named = |server: String, from, application: Option<&str>| {
        let (server, server_from) = (Some(server.into()), Some(from));
        Some(Box::new(FlowNames {
            server,
            server_from,
            application: application.map(Into::into),
            of_source: false,
        }))
    };
    match at % 9 {
        0 => named(format!("host-{at}.example"), "tls", Some("h2")),
        3 => named(format!("web-{at}.example"), "http", Some("http/1.1")),
        6 => named("long.".repeat(100), "dns", None),
        _ => None,
    }
}

/// Packets, and octets from the IP header on, of both directions together.
fn sums(records: &[FlowRecord]) -> (u64, u64) {
    let packets: u64 = records.iter().flat_map(|record| record.packets).sum();
    let bytes: u64 = records.iter().flat_map(|record| record.bytes).sum();
    (packets, bytes - 14 * packets)
}

fn has(program: &str) -> bool {
    let there = Command::new(program)
        .arg(if program == "tshark" { "--version" } else { "-V" })
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok();
    if !there {
        oracles::missing(&format!("no {program}"));
    }
    there
}

#[test]
fn messages_keep_to_their_length_and_count_their_records() {
    let mut encoder = IpfixEncoder::new(1_400);
    let (mut messages, mut sequence) = (0, 0);
    let mut check = |encoder: &mut IpfixEncoder| {
        let records = encoder.records();
        let message = encoder.message();
        let word = |at: usize| u16::from_be_bytes([message[at], message[at + 1]]);
        assert!(message.len() <= 1_400);
        assert_eq!((word(0), usize::from(word(2))), (10, message.len()));
        assert_eq!(u32::from_be_bytes(message[8..12].try_into().unwrap()), sequence);
        // The sets fill the message, to its last byte.
        let mut at = 16;
        while at < message.len() {
            assert!(word(at) == 2 || (256..264).contains(&word(at)), "set {}", word(at));
            at += usize::from(word(at + 2));
        }
        assert_eq!(at, message.len());
        messages += 1;
        sequence += records as u32;
        encoder.begin_next();
    };
    for record in records(100) {
        if !encoder.fits(&record) {
            check(&mut encoder);
        }
        encoder.push(&record);
    }
    check(&mut encoder);
    assert_eq!(sequence, 100);
    assert!(messages > 5, "{messages}");
}

/// Octets count from the IP header on where the link is Ethernet, and elsewhere not more than there were.
#[test]
fn octets_are_those_of_ip() {
    let of = |bytes, payload, packets| {
        let ends = (([10, 0, 0, 1].into(), 1), ([10, 0, 0, 2].into(), 2));
        let record = records::record(ends.0, ends.1, 6);
        IpfixEncoder::octets(&FlowRecord { bytes, payload, packets: [packets, 1], ..record })
    };
    // Two segments with ten bytes each, of the second side one of 60 bytes with padding in it.
    assert_eq!(of([2 * (14 + 40 + 10), 60], [20, 0], 2), [100, 46]);
    // The same without link-layer headers, as in a capture of a tunnel.
    assert_eq!(of([2 * (40 + 10), 40], [20, 0], 2), [100, 40]);
    assert_eq!(of([0, 1], [u64::MAX, 0], u64::MAX), [0, 1], "nothing overflows");
}

/// What the octets of a template's fields stand for: element and length, in order, of the set that carries this record.
fn fields(record: &FlowRecord) -> Vec<(u16, Vec<u8>)> {
    let mut encoder = IpfixEncoder::new(32_768);
    encoder.push(record);
    let message = encoder.message().to_vec();
    let word = |at: usize| u16::from_be_bytes([message[at], message[at + 1]]);
    let set = 16 + usize::from(word(18));
    let mut at = 20;
    while word(at) != word(set) {
        let mut field = at + 4;
        for _ in 0..word(at + 2) {
            field += if word(field) >> 15 == 1 { 8 } else { 4 };
        }
        at = field;
    }
    let (mut field, mut value, mut fields) = (at + 4, set + 4, Vec::new());
    for _ in 0..word(at + 2) {
        let (element, length) = (word(field), usize::from(word(field + 2)));
        field += if element >> 15 == 1 { 8 } else { 4 };
        if length < 65_535 {
            fields.push((element, message[value..value + length].to_vec()));
            value += length;
        }
    }
    assert_eq!(value, message.len());
    fields
}

#[test]
fn icmp_has_its_type_and_code() {
    for (version, element) in [(4, 32), (6, 139)] {
        let [a, b]: [IpAddr; 2] = match version {
            4 => [[10, 0, 0, 1].into(), [192, 0, 2, 7].into()],
            _ => ["fd00::1".parse().unwrap(), "fd00::2".parse().unwrap()],
        };
        let (protocol, ping, answer) = if version == 4 { (1, 8, 0) } else { (58, 128, 129) };
        // A ping, and an error of code 3: host and port unreachable.
        for (ports, expected) in [((ping, answer), [ping as u8, 0]), ((3, 3), [3, 3])] {
            let mut record = records::record((a, ports.0), (b, ports.1), protocol);
            record.packets = [1, 0];
            let fields = fields(&record);
            let of =
                |element| fields.iter().find(|(number, _)| *number == element).map(|(_, value)| &value[..]);
            assert_eq!(of(element), Some(&expected[..]), "{version} {ports:?}");
            assert_eq!((of(7), of(245)), (Some(&[0, 0][..]), Some(&[0, 0][..])));
        }
    }
}

#[test]
fn tshark_reads_a_file_without_complaint() {
    if !has("tshark") {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("flows.ipfix");
    let records = records(500);
    let mut ipfix = Ipfix::create(&path).unwrap();
    records.iter().for_each(|record| ipfix.write(record).unwrap());
    ipfix.finish().unwrap();
    assert_eq!(ipfix.counts().records, 500);
    let shown = Command::new("tshark").arg("-r").arg(&path).args(["-V"]).output().unwrap();
    let text = String::from_utf8_lossy(&shown.stdout);
    assert!(!text.contains("Malformed") && !text.contains("Expert Info"));
    let sum = |name: &str| -> u64 {
        let lines = text.lines().filter_map(|line| line.trim().strip_prefix(name));
        lines.map(|number| number.trim().split(' ').next().unwrap().parse::<u64>().unwrap()).sum()
    };
    let all = (sum("Packets:") + sum("Reverse Packets:"), sum("Octets:") + sum("Reverse Octets:"));
    assert_eq!(all, sums(&records), "{}", &text[..text.len().min(6_000)]);
    let has = |line: &str| text.lines().any(|shown| shown.trim().ends_with(line));
    // Of both directions, the same names by their own elements.
    for name in ["host-0.example", "web-3.example", "HTTP Request Host: web-3.example", "ApplicationName: h2"]
    {
        assert!(has(name), "{name}");
    }
    assert!(!has("HTTP Request Host: host-0.example"));
}

/// Ends a collector when dropped.
struct Collector(Child);

impl Drop for Collector {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn nfcapd_takes_records_over_udp() {
    if !has("nfcapd") || !has("nfdump") {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let port = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let collector = Command::new("nfcapd")
        .args(["-b", "127.0.0.1", "-p", &port, "-t", "3600", "-w"])
        .arg(directory.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let mut collector = Collector(collector.unwrap());
    // It listens, and has taken all that came: more than its buffer holds at once would be lost, as UDP has it.
    let wait_for_it = || {
        let deadline = Instant::now() + Duration::from_secs(20);
        while queued(&port) != Some(0) {
            assert!(Instant::now() < deadline, "nfcapd does not listen");
            sleep(Duration::from_micros(200));
        }
    };
    wait_for_it();
    // More than 50 messages: templates come again.
    let records = records(1_200);
    let mut ipfix = Ipfix::udp(&format!("127.0.0.1:{port}")).unwrap();
    for (number, record) in records.iter().enumerate() {
        ipfix.write(record).unwrap();
        if number % 64 == 0 {
            wait_for_it();
        }
    }
    ipfix.finish().unwrap();
    assert_eq!((ipfix.counts().records, ipfix.counts().refused), (1_200, 0));
    wait_for_it();
    sleep(Duration::from_millis(500));
    let ended = Command::new("kill").arg("-TERM").arg(collector.0.id().to_string()).status().unwrap();
    assert!(ended.success());
    collector.0.wait().unwrap();
    assert_eq!(taken_in(directory.path()), sums(&records));
}

/// The bytes that wait in the queue of the UDP socket at this port of IPv4 (`proc(5)`), if there is one.
fn queued(port: &str) -> Option<u64> {
    let port = format!(":{:04X}", port.parse::<u16>().ok()?);
    let sockets = std::fs::read_to_string("/proc/net/udp").ok()?;
    let mut lines = sockets.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let fields = lines.find(|fields| fields.get(1).is_some_and(|local| local.ends_with(&port)))?;
    u64::from_str_radix(fields.get(4)?.split_once(':')?.1, 16).ok()
}

/// The packets and bytes in what nfcapd has written, by nfdump.
fn taken_in(directory: &Path) -> (u64, u64) {
    let mut nfdump = Command::new("nfdump");
    nfdump.arg("-R").arg(directory).args(["-q", "-N", "-o", "fmt:%pkt %byt %opkt %obyt"]);
    let shown = nfdump.output().unwrap();
    let text = String::from_utf8_lossy(&shown.stdout);
    let rows = text.lines().map(|line| {
        line.split_whitespace().map(|number| number.parse::<u64>().expect("a number")).collect::<Vec<_>>()
    });
    let (mut packets, mut bytes) = (0, 0);
    for row in rows.filter(|row| row.len() == 4) {
        packets += row[0] + row[2];
        bytes += row[1] + row[3];
    }
    (packets, bytes)
}

/// A collector that was started anew is found again, and can read on.
#[test]
fn a_collector_over_tcp_that_comes_back_is_sent_to_again() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    // By a name whose first address may be another one, where nobody listens.
    let collector = format!("localhost:{}", listener.local_addr().unwrap().port());
    let mut ipfix = Ipfix::tcp(&collector).unwrap();
    let records = records(30);
    let (first, _) = listener.accept().unwrap();
    ipfix.write(&records[0]).unwrap();
    ipfix.flush().unwrap();
    drop(first);
    // The first to meet the closed connection may still be taken by the kernel; the second is not.
    let begun = Instant::now();
    while ipfix.counts().refused == 0 {
        assert!(begun.elapsed() < Duration::from_secs(10), "the end is not noticed: {:?}", ipfix.counts());
        ipfix.write(&records[1]).unwrap();
        ipfix.flush().unwrap();
        sleep(Duration::from_millis(10));
    }
    // It tries again after a second at the latest.
    listener.set_nonblocking(true).unwrap();
    let second = loop {
        assert!(begun.elapsed() < Duration::from_secs(20), "nobody connects again");
        ipfix.write(&records[2]).unwrap();
        ipfix.flush().unwrap();
        match listener.accept() {
            Ok((stream, _)) => break stream,
            Err(_) => sleep(Duration::from_millis(20)),
        }
    };
    let refused = ipfix.counts().refused;
    ipfix.write(&records[4]).unwrap();
    ipfix.finish().unwrap();
    assert_eq!((ipfix.counts().refused, ipfix.lost()), (refused, refused));
    drop(ipfix);
    second.set_nonblocking(false).unwrap();
    let mut bytes = Vec::new();
    (&second).read_to_end(&mut bytes).unwrap();
    let word = |at: usize| u16::from_be_bytes([bytes[at], bytes[at + 1]]);
    // Templates first, and numbers that begin anew (RFC 7011 3.1: of the transport session).
    assert_eq!((word(0), word(16)), (10, 2));
    assert_eq!(bytes[8..12], [0; 4]);
    assert!(u32::from_be_bytes(bytes[4..8].try_into().unwrap()) >= 1_700_000_000, "exported in its time");
    let next = usize::from(word(2));
    assert_eq!((word(next), &bytes[next + 8..next + 12]), (10, &[0; 4][..]));
    assert!(word(next + 16) >= 256, "records");
}

/// The templates went to nobody: whoever listens then has them with the first message.
#[test]
fn templates_that_were_refused_come_again() {
    let gone = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut ipfix = Ipfix::udp(&gone.to_string()).unwrap();
    let records = records(3);
    let mut send = |at: usize| {
        ipfix.write(&records[at]).unwrap();
        ipfix.flush().unwrap();
    };
    send(0);
    // Meets the refusal of the first.
    send(1);
    let collector = UdpSocket::bind(gone).unwrap();
    collector.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    send(2);
    let mut message = [0; 2_000];
    let length = collector.recv(&mut message).unwrap();
    assert!(length > 20 && message[16..18] == [0, 2], "a set of templates: {:?}", &message[16..20]);
}

#[test]
fn a_collector_that_is_not_there_is_named() {
    let unused = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let Err(error) = Ipfix::tcp(&unused.to_string()) else { panic!("nobody listens") };
    assert!(error.to_string().starts_with(&format!("tcp://{unused}: ")), "{error}");
    let Err(error) = Ipfix::udp("127.0.0.1") else { panic!("no port") };
    assert!(error.to_string().starts_with("udp://127.0.0.1: "), "{error}");
    // Over UDP the host says it of an earlier datagram.
    let gone = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut ipfix = Ipfix::udp(&gone.to_string()).unwrap();
    for record in records(2_000) {
        ipfix.write(&record).unwrap();
    }
    ipfix.finish().unwrap();
    assert!(ipfix.counts().refused > 0, "{:?}", ipfix.counts());
}

/// What a collector's host refuses is lost as what was dropped is: `--strict` minds it.
#[test]
fn strict_minds_records_that_were_refused() {
    let directory = tempfile::tempdir().unwrap();
    let capture = directory.path().join("in.pcapng");
    let traffic = Traffic { frames: 5_000, distinct: 5_000, flows: 2_000, ..Traffic::default() };
    let writer = CaptureFileWriter::create(&capture).unwrap();
    Engine::builder().source(Synthetic::new(&traffic)).rest(writer).run().unwrap();
    let gone = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for (arguments, expected) in [(&["--strict"][..], 3), (&[], 0)] {
        let output = Command::new(env!("CARGO_BIN_EXE_wharf"))
            .args(["flows", "--csv", "-r"])
            .arg(&capture)
            .args(["--ipfix", &format!("udp://{gone}")])
            .args(arguments)
            .output()
            .unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(told.contains(" records sent, ") && told.contains(" refused"), "{told}");
        assert_eq!(output.status.code(), Some(expected), "{told}");
    }
}
