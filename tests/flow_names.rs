//! Flows by name: each has the one its client asked for, however many read, and with numbers nobody looks for any.

#[expect(dead_code, reason = "frames of other tests")]
mod conversation;

use assert_cmd::Command;
use conversation::write;
use serde_json::Value;
use std::path::Path;
use wharf::build::{DnsMessage, DnsRecord, DnsType, Ipv4, Stack, Tcp, Udp};
use wharf::engine::Engine;
use wharf::flow::MeterOptions;
use wharf::flow::names::NamesOptions;
use wharf::sink::{FlowFormat, Flows, FlowsOptions};
use wharf::source::CaptureFile;

const CLIENT: [u8; 4] = [10, 0, 0, 1];
const RESOLVER: [u8; 4] = [10, 0, 0, 53];
const SERVER: [u8; 4] = [192, 0, 2, 7];

fn packet(from: [u8; 4], to: [u8; 4], header: &dyn wharf::build::Header, payload: &[u8]) -> Vec<u8> {
    let mut stack = Stack::new();
    stack.message(payload).wrap(header).wrap(Ipv4::new(from, to));
    stack.bytes().to_vec()
}

/// To `client`: `name` is an alias of another name, which has this address.
fn answer(client: [u8; 4], name: &str, address: [u8; 4]) -> Vec<u8> {
    let query = DnsMessage::query(7, name, DnsType::A).unwrap();
    let response = DnsMessage::response(&query).answer(60, DnsRecord::Cname("cdn.test")).unwrap();
    let mut bytes = response.bytes().to_vec();
    // The record's owner is a pointer to what the alias stands for: 10 bytes from the end.
    let alias = 0xc000 | (bytes.len() - 10) as u16;
    bytes[7] = 2;
    bytes.extend(alias.to_be_bytes());
    bytes.extend([0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
    bytes.extend(address);
    packet(RESOLVER, client, &Udp::new(53, 40_000), &bytes)
}

/// A TLS record with the hello of a client (RFC 8446 4.1.2) that names a server (RFC 6066 3) and one protocol (RFC 7301).
fn hello(server: &str, protocol: &str) -> Vec<u8> {
    let counted = |bytes: &[u8]| [&(bytes.len() as u16).to_be_bytes()[..], bytes].concat();
    let name = counted(&[&[0][..], &counted(server.as_bytes())].concat());
    let protocols = counted(&[&[protocol.len() as u8][..], protocol.as_bytes()].concat());
    let extensions = [&[0, 0][..], &counted(&name), &[0, 16], &counted(&protocols)].concat();
    let body = [&[3, 3][..], &[7; 32], &[0], &counted(&[0x13, 1]), &[1, 0], &counted(&extensions)].concat();
    let length = (body.len() as u32).to_be_bytes();
    let handshake = [&[1][..], &length[1..], &body].concat();
    [&[22, 3, 1][..], &counted(&handshake)].concat()
}

fn syn(from: [u8; 4], to: [u8; 4], port: u16) -> Vec<u8> {
    packet(from, to, &Tcp::new(port, 443).flags(Tcp::SYN).sequence(0), b"")
}

/// What a client says from a byte of its stream on.
fn says(from: [u8; 4], to: [u8; 4], port: u16, at: u32, what: &[u8]) -> Vec<u8> {
    packet(from, to, &Tcp::new(port, 443).flags(Tcp::ACK).sequence(at), what)
}

fn objects(path: &Path, cores: &[usize], names: bool) -> (String, Vec<Value>) {
    objects_by(FlowsOptions::default(), path, cores, names)
}

fn objects_by(options: FlowsOptions, path: &Path, cores: &[usize], names: bool) -> (String, Vec<Value>) {
    let mut lines = Vec::new();
    let source = CaptureFile::open(path).unwrap();
    // As the command does with a file.
    let mut flows = Flows::new(&mut lines, FlowsOptions { format: FlowFormat::Json, ..options }).shared();
    if names {
        flows = flows.names(NamesOptions::default());
    }
    Engine::builder().source(source).rest(flows).cores(cores.iter().copied()).run().unwrap();
    let text = String::from_utf8(lines).unwrap();
    let objects = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    (text, objects)
}

fn named(objects: &[Value], port: u16) -> [Option<&str>; 4] {
    let is =
        |object: &&Value| object["sport"] == port || object["src"] == "192.0.2.7" && object["dport"] == port;
    let object = objects.iter().find(is).unwrap_or_else(|| panic!("no flow of port {port}"));
    ["name", "name_from", "application", "name_of"].map(|member| object[member].as_str())
}

#[test]
fn a_flow_has_the_name_that_the_conversation_tells_else_the_one_that_was_looked_up() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("names.pcap");
    let [a, b, c] = [hello("a.test", "h2"), hello("b.test", "h2"), hello("c.test", "h2")];
    let packets = [
        // The address is not known by name yet, and this flow goes on.
        syn(CLIENT, SERVER, 1_000),
        answer(CLIENT, "www.test", SERVER),
        says(CLIENT, SERVER, 1_000, 1, b"neither TLS nor HTTP"),
        syn(CLIENT, SERVER, 1_001),
        syn(CLIENT, SERVER, 1_002),
        says(CLIENT, SERVER, 1_002, 1, b"GET / HTTP/1.1\r\nHost: http.test\r\n\r\n"),
        syn(CLIENT, SERVER, 1_003),
        // Out of order, after words of another protocol, while others begin.
        says(CLIENT, SERVER, 1_003, 1, b"STARTTLS\r\n"),
        says(CLIENT, SERVER, 1_003, 11, &a[..20]),
        says(CLIENT, SERVER, 1_003, 41, &a[30..]),
        syn(CLIENT, SERVER, 1_004),
        says(CLIENT, SERVER, 1_003, 31, &a[20..30]),
        // Only half a hello, and then another connection between the same ports.
        syn(CLIENT, SERVER, 1_005),
        says(CLIENT, SERVER, 1_005, 1, &a[..20]),
        packet(SERVER, CLIENT, &Tcp::new(443, 1_005).flags(Tcp::RST | Tcp::ACK).acknowledgment(21), b""),
        packet(CLIENT, SERVER, &Tcp::new(1_005, 443).flags(Tcp::SYN).sequence(900_000), b""),
        says(CLIENT, SERVER, 1_005, 900_001, &b),
        // The answering side is seen first.
        packet(SERVER, CLIENT, &Tcp::new(443, 1_006).flags(Tcp::ACK), b""),
        says(CLIENT, SERVER, 1_006, 1, &c),
        // Another client has not asked.
        syn([10, 0, 0, 2], SERVER, 1_007),
        answer(CLIENT, "later.test", SERVER),
        syn(CLIENT, SERVER, 1_008),
    ];
    write(&path, &packets);
    let (_, flows) = objects(&path, &[], true);
    for (port, expected) in [
        (1_000, [None; 4]),
        (1_001, [Some("www.test"), Some("dns"), None, None]),
        (1_002, [Some("http.test"), Some("http"), Some("http/1.1"), None]),
        (1_003, [Some("a.test"), Some("tls"), Some("h2"), None]),
        (1_004, [Some("www.test"), Some("dns"), None, None]),
        (1_006, [Some("c.test"), Some("tls"), Some("h2"), Some("src")]),
        (1_007, [None; 4]),
        (1_008, [Some("later.test"), Some("dns"), None, None]),
    ] {
        assert_eq!(named(&flows, port), expected, "{port}");
    }
    let again: Vec<_> = flows.iter().filter(|flow| flow["sport"] == 1_005).collect();
    assert_eq!(again.len(), 2, "{again:?}");
    assert_eq!([&again[0]["name"], &again[1]["name"]], ["www.test", "b.test"]);
}

/// Its receiver throws it away, and goes by what comes again.
#[test]
fn what_came_damaged_names_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("damaged.pcap");
    let damaged = |mut packet: Vec<u8>, what: &[u8]| {
        let at = packet.windows(what.len()).position(|bytes| bytes == what).unwrap();
        packet[at] ^= 2;
        packet
    };
    let said = says(CLIENT, SERVER, 1_000, 1, &hello("a.test", "h2"));
    let known = answer(CLIENT, "www.test", SERVER);
    let other = [192, 0, 2, 8];
    write(
        &path,
        &[
            damaged(answer(CLIENT, "www.test", other), b"www"),
            known,
            syn(CLIENT, SERVER, 1_000),
            damaged(said.clone(), b"a.test"),
            said,
            syn(CLIENT, other, 1_001),
            syn(CLIENT, SERVER, 1_002),
            damaged(says(CLIENT, SERVER, 1_002, 1, &hello("b.test", "h2")), b"b.test"),
        ],
    );
    for cores in [&[][..], &[0, 1]] {
        let (_, flows) = objects(&path, cores, true);
        let names = [1_000, 1_001, 1_002].map(|port| named(&flows, port)[0]);
        assert_eq!(names, [Some("a.test"), None, Some("www.test")], "{cores:?}");
    }
}

#[test]
fn a_flow_that_goes_on_keeps_its_name() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("long.pcap");
    let mut packets =
        vec![answer(CLIENT, "www.test", SERVER), syn(CLIENT, SERVER, 1_000), syn(CLIENT, SERVER, 1_001)];
    packets.push(says(CLIENT, SERVER, 1_001, 1, &hello("tls.test", "h2")));
    packets.push(answer(CLIENT, "other.test", SERVER));
    // A packet a millisecond, and a record every twenty.
    packets.extend((0..100).map(|at| says(CLIENT, SERVER, 1_000 + at % 2, 1_000, b"...")));
    write(&path, &packets);
    let active_timeout = Some(std::time::Duration::from_millis(20));
    let meter = MeterOptions { active_timeout, ..MeterOptions::default() };
    let (_, flows) = objects_by(FlowsOptions { meter, ..FlowsOptions::default() }, &path, &[], true);
    for (port, name) in [(1_000, "www.test"), (1_001, "tls.test")] {
        let records: Vec<_> = flows.iter().filter(|flow| flow["sport"] == port).collect();
        assert!(records.len() > 3 && records.iter().all(|record| record["name"] == name), "{records:?}");
    }
}

#[test]
fn names_do_not_depend_on_who_reads() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("many.pcap");
    // Few servers, each looked up by many names, just before and just after the flows begin.
    let mut packets = Vec::new();
    for at in 0..6_000_u16 {
        let server = [192, 0, 2, (at % 5) as u8];
        let client = [10, 0, 1, (at % 7) as u8];
        packets.push(answer(client, &format!("n{at}.test"), server));
        packets.push(syn(client, server, 10_000 + at));
        packets.push(answer(client, &format!("wrong{at}.test"), server));
        if at % 3 == 0 {
            packets.push(says(client, server, 10_000 + at, 1, &hello(&format!("t{at}.test"), "h2")));
        }
        // Of others the end of the opening comes much later, when others read, and after what is in the middle of something.
        if at % 3 == 1 {
            packets.push(says(client, server, 10_000 + at, 1, &hello(&format!("s{at}.test"), "h2")[..30]));
        }
        if let Some(before) = at.checked_sub(3 * 300).filter(|before| before % 3 == 1) {
            let (client, server) = ([10, 0, 1, (before % 7) as u8], [192, 0, 2, (before % 5) as u8]);
            let hello = hello(&format!("s{before}.test"), "h2");
            packets.push(says(client, server, 10_000 + before, 31, &hello[30..]));
            packets.push(says(client, server, 10_000 + before, 1 + hello.len() as u32, &[0; 300]));
        }
    }
    write(&path, &packets);
    let allowed = rustix::thread::sched_getaffinity(None).unwrap();
    let cores: Vec<usize> = (0..1024).filter(|&core| allowed.is_set(core)).take(3).collect();
    let (alone, flows) = objects(&path, &[], true);
    let mut seen = 0;
    for flow in flows.iter().filter(|flow| flow["proto"] == "tcp") {
        let at = flow["sport"].as_u64().unwrap() - 10_000;
        let expected = match at % 3 {
            0 => format!("t{at}.test"),
            1 if at + 3 * 300 < 6_000 => format!("s{at}.test"),
            _ => format!("n{at}.test"),
        };
        assert_eq!(flow["name"], expected);
        seen += 1;
    }
    assert_eq!(seen, 6_000);
    for cores in [&cores[..1], &cores[..]] {
        assert!(objects(&path, cores, true).0 == alone, "{cores:?}");
    }
    assert!(!objects(&path, &[], false).0.contains(".test"));
}

/// A pcap file of bare IP packets, each at its own time: microseconds since 1700000000.
fn write_at(path: &Path, packets: &[(u64, Vec<u8>)]) {
    let mut file = [0xa1b2_c3d4, 0x0004_0002, 0, 0, 262_144, 101_u32].map(u32::to_le_bytes).concat();
    for (micros, packet) in packets {
        let (second, length) = (1_700_000_000 + (micros / 1_000_000) as u32, packet.len() as u32);
        file.extend([second, (micros % 1_000_000) as u32, length, length].map(u32::to_le_bytes).concat());
        file.extend(packet);
    }
    std::fs::write(path, file).unwrap();
}

/// Of segments in the middle of something, several readers look at more than one does, and in every run at others: with that
/// they must not move the clock, or what others wait for is given up.
#[test]
fn times_that_go_back_do_not_depend_on_who_reads() {
    const ROUNDS: u64 = 6_000;
    /// So much later is the opening between the ports of a segment that came: when another piece of the file is read.
    const LATER: u64 = 400;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("back.pcap");
    let mut packets = Vec::new();
    for at in 0..ROUNDS {
        let (now, ahead) = (at * 10_000, 5_000_000_000);
        let (port, other) = (10_000 + at as u16, 30_000 + at as u16);
        let hello = hello(&format!("s{at}.test"), "h2");
        packets.push((now, says(CLIENT, SERVER, port, 1, &hello[..30])));
        packets.push((now + ahead, says(CLIENT, SERVER, other, 1, &[b'x'; 1_000])));
        packets.push((now + 1, says(CLIENT, SERVER, port, 31, &hello[30..])));
        if let Some(before) = at.checked_sub(LATER) {
            packets.push((now + 2, says(CLIENT, SERVER, 30_000 + before as u16, 1, &hello[..30])));
        }
    }
    write_at(&path, &packets);
    let allowed = rustix::thread::sched_getaffinity(None).unwrap();
    let cores: Vec<usize> = (0..1024).filter(|&core| allowed.is_set(core)).take(3).collect();
    let (alone, flows) = objects(&path, &[], true);
    let named = |flows: &[Value]| flows.iter().filter(|flow| flow["name"].is_string()).count() as u64;
    assert!(named(&flows) >= ROUNDS, "{}", named(&flows));
    for _ in 0..3 {
        for cores in [&cores[..1], &cores[..]] {
            let (text, flows) = objects(&path, cores, true);
            assert!(text == alone, "{cores:?}: {} and {ROUNDS} flows have names", named(&flows));
        }
    }
}

#[test]
fn the_command_shows_names_or_numbers() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("names.pcap");
    write(&path, &[answer(CLIENT, "www.test", SERVER), syn(CLIENT, SERVER, 1_001)]);
    let run = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_wharf"))
            .arg("flows")
            .arg("-r")
            .arg(&path)
            .args(arguments)
            .output();
        String::from_utf8(output.unwrap().stdout).unwrap()
    };
    let has = |table: &str, to: &str| {
        let mut lines = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        assert!(lines.any(|words| words[..3] == ["tcp", "10.0.0.1:1001", to]), "{table}");
    };
    has(&run(&[]), "www.test:https");
    has(&run(&["-n"]), "192.0.2.7:443");
    let csv = run(&["--csv"]);
    let columns: Vec<&str> = csv.lines().next().unwrap().split(',').collect();
    let row: Vec<&str> = csv.lines().find(|line| line.starts_with("tcp")).unwrap().split(',').collect();
    let cell = |name: &str| row[columns.iter().position(|column| *column == name).unwrap()];
    assert_eq!((cell("name"), cell("name_from"), cell("application")), ("www.test", "dns", ""));
    assert!(!run(&["--json", "-n"]).contains("www.test"));
}
