//! What the text and JSON sinks write: golden files over frames of every kind, tcpdump's own word on the
//! same frames where it is installed, and every frame cut at every length.

#[path = "support/oracles.rs"]
mod oracles;

use std::io::Write as _;
use std::process::Command;
use wharf::batch::Findings;
use wharf::build::*;
use wharf::frame::{Batch, Frame, Interface, LinkType, Offload, Record, Timestamp};
use wharf::sink::text::{Dump, TimeStyle};
use wharf::sink::{Deliveries, Json, Sink, Text, TextOptions};

const A: [u8; 4] = [10, 0, 0, 1];
const B: [u8; 4] = [10, 0, 0, 2];

/// Frames of one link type, and where each of them lies in one slab.
#[derive(Default)]
struct Frames {
    slab: Vec<u8>,
    records: Vec<Record>,
}

impl Frames {
    /// A frame, one second and one microsecond after the one before.
    fn add(&mut self, stack: &Stack) -> &mut Record {
        let data = stack.bytes();
        self.add_bytes(data)
    }

    fn add_bytes(&mut self, data: &[u8]) -> &mut Record {
        let number = self.records.len() as u64 + 1;
        let offset = u32::try_from(self.slab.len()).unwrap();
        let time = Timestamp::new(1_700_000_000 + number as i64, number as u32 * 1_000 + 7);
        let record =
            Record { number, offset, time: Some(time), ..Frame::new(LinkType::ETHERNET, data).record };
        self.slab.extend(data);
        self.records.push(record);
        self.records.last_mut().unwrap()
    }

    fn write(&self, sink: &mut dyn Sink) {
        let interfaces = [Interface { name: Some("eth\"0".into()), ..Interface::default() }];
        let batch = Batch::new(&self.slab, &self.records, &interfaces);
        let mut findings = Findings::new();
        findings.read(batch);
        let chosen: Vec<u16> = (0..).take(self.records.len()).collect();
        sink.write(Deliveries::new(batch, &findings, &chosen)).unwrap();
        sink.finish(&[]).unwrap();
    }

    fn text(&self, options: TextOptions) -> String {
        let mut lines = Vec::new();
        self.write(&mut Text::new(&mut lines, TextOptions { utc: true, numeric: true, ..options }));
        String::from_utf8(lines).expect("lines are text")
    }

    fn json(&self) -> Vec<serde_json::Value> {
        let mut lines = Vec::new();
        self.write(&mut Json::new(&mut lines));
        let lines = String::from_utf8(lines).expect("lines are text");
        lines.lines().map(|line| serde_json::from_str(line).expect(line)).collect()
    }

    /// As a pcap file with nanoseconds.
    fn pcap(&self) -> Vec<u8> {
        let words = |words: &[u32]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>();
        let mut file = words(&[0xa1b2_3c4d, 0x0004_0002, 0, 0, 262_144, 1]);
        for record in &self.records {
            let time = record.time.unwrap();
            file.extend(words(&[time.seconds as u32, time.nanos, record.captured, record.wire_length]));
            file.extend(&self.slab[record.offset as usize..][..record.captured as usize]);
        }
        file
    }
}

fn ethernet() -> Ethernet {
    Ethernet::new([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2])
}

/// Frames that tcpdump is to print the very same way.
fn common() -> Frames {
    let mut frames = Frames::default();
    let mut stack = Stack::new();
    let (there, back) = (Ipv4::new(A, B).dont_fragment(), Ipv4::new(B, A).ttl(57).service(0x02));
    let a6 = "fd00::1".parse().unwrap();
    let b6 = "fd00:0:0:1::2".parse().unwrap();
    let (there6, back6) = (Ipv6::new(a6, b6), Ipv6::new(b6, a6).flow_label(0x12345).traffic_class(4));

    // A connection, from its handshake to a reset.
    let options = [
        TcpOption::MaximumSegmentSize(1460),
        TcpOption::SackPermitted,
        TcpOption::Timestamps { value: 7, echo: 0 },
        TcpOption::NoOperation,
        TcpOption::WindowScale(7),
    ];
    let client = |flags, sequence, acknowledgment| {
        Tcp::new(4321, 80).flags(flags).sequence(sequence).acknowledgment(acknowledgment).window(502)
    };
    let server = |flags, sequence, acknowledgment| {
        Tcp::new(80, 4321).flags(flags).sequence(sequence).acknowledgment(acknowledgment).window(64_240)
    };
    let syn = client(Tcp::SYN | Tcp::ECE | Tcp::CWR, 1_000, 0).options(&options);
    frames.add(stack.message(b"").wrap(syn).wrap(there).wrap(ethernet()));
    frames
        .add(stack.message(b"").wrap(server(Tcp::SYN | Tcp::ACK, 90_000, 1_001)).wrap(back).wrap(ethernet()));
    frames.add(stack.message(b"").wrap(client(Tcp::ACK, 1_001, 90_001)).wrap(there).wrap(ethernet()).pad(60));
    let get = b"GET /index.html HTTP/1.1\r\nHost: a\r\n\r\n";
    frames.add(
        stack.message(get).wrap(client(Tcp::PSH | Tcp::ACK, 1_001, 90_001)).wrap(there).wrap(ethernet()),
    );
    let blocks = [(1_040, 1_050), (1_060, 1_070)];
    let sack = [TcpOption::NoOperation, TcpOption::NoOperation, TcpOption::Sack(&blocks)];
    frames.add(
        stack.message(b"").wrap(server(Tcp::ACK, 90_001, 1_038).options(&sack)).wrap(back).wrap(ethernet()),
    );
    let urgent = client(Tcp::URG | Tcp::FIN | Tcp::ACK, 1_038, 90_001).urgent(3);
    frames.add(stack.message(b"\x01\x02\x03").wrap(urgent).wrap(there).wrap(ethernet()));
    frames.add(stack.message(b"").wrap(server(Tcp::RST, 90_001, 0)).wrap(back).wrap(ethernet()));

    // UDP and DNS.
    let udp = Udp::new(40_000, 9_999);
    frames.add(stack.message(b"hello").wrap(udp).wrap(there).wrap(ethernet()).pad(60));
    frames.add(stack.message(b"hello").wrap(udp.checksum(Checksum::Zero)).wrap(there).wrap(ethernet()));
    frames.add(stack.message(b"hello").wrap(udp).wrap(there6).wrap(ethernet()));
    let query = DnsMessage::query(4_660, "www.example.com", DnsType::A).unwrap();
    frames.add(stack.message(query.bytes()).wrap(Udp::new(40_001, 53)).wrap(there).wrap(ethernet()));
    let response = DnsMessage::response(&query)
        .answer(300, DnsRecord::Cname("a.example.com"))
        .unwrap()
        .answer(60, DnsRecord::A([192, 0, 2, 7].into()))
        .unwrap();
    frames.add(stack.message(response.bytes()).wrap(Udp::new(53, 40_001)).wrap(back).wrap(ethernet()));
    let missing = DnsMessage::response(&query).code(3);
    frames.add(stack.message(missing.bytes()).wrap(Udp::new(53, 40_001)).wrap(back6).wrap(ethernet()));

    // ICMP, with and without a quoted packet.
    frames.add(stack.message(&[7; 56]).wrap(Icmp::echo_request(9, 1)).wrap(there).wrap(ethernet()));
    frames.add(stack.message(&[7; 56]).wrap(Icmp::echo_reply(9, 1)).wrap(back).wrap(ethernet()));
    frames.add(
        stack.message(b"hello").wrap(udp).wrap(there).wrap(Icmp::unreachable(3)).wrap(back).wrap(ethernet()),
    );
    frames.add(stack.message(&[7; 56]).wrap(Icmpv6::echo_request(9, 1)).wrap(there6).wrap(ethernet()));
    frames.add(stack.message(b"").wrap(Icmpv6::neighbor_solicitation(b6)).wrap(there6).wrap(ethernet()));
    frames.add(stack.message(b"").wrap(Icmpv6::neighbor_advertisement(b6)).wrap(back6).wrap(ethernet()));

    // Below and beside IP; around it.
    let macs = ([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]);
    frames.add(stack.message(b"").wrap(Arp::request(macs.0, A, B)).wrap(Ethernet::broadcast(macs.0)));
    frames.add(stack.message(b"").wrap(Arp::reply(macs.1, B, macs.0, A)).wrap(ethernet()));
    let tagged = Vlan::new(100).priority(5);
    frames.add(stack.message(b"hello").wrap(udp).wrap(there).wrap(tagged).wrap(ethernet()));
    let service = Vlan::new(7).service();
    frames.add(stack.message(b"hello").wrap(udp).wrap(there).wrap(tagged).wrap(service).wrap(ethernet()));
    frames.add(stack.message(b"hello").wrap(udp).wrap(there).wrap(Gre::new()).wrap(back).wrap(ethernet()));
    frames.add(stack.message(b"hello").wrap(udp).wrap(there6).wrap(back).wrap(ethernet()));
    frames.add(stack.message(b"hello").wrap(udp).wrap(there).wrap(Mpls::new(16)).wrap(ethernet()));
    let (first, last) =
        (there.fragment(0, true).identification(5), there.fragment(24, false).identification(5));
    frames.add(stack.message(&[7; 16]).wrap(udp).wrap(first).wrap(ethernet()));
    frames.add(stack.message(&[7; 16]).wrap(last.protocol(17)).wrap(ethernet()));
    frames.add(stack.message(b"hello").wrap(there.protocol(253)).wrap(ethernet()));
    frames
}

/// Frames about which wharf says more than tcpdump, or something else.
fn special() -> Frames {
    let mut frames = Frames::default();
    let mut stack = Stack::new();
    let (there, back) = (Ipv4::new(A, B), Ipv4::new(B, A));
    let udp = Udp::new(40_000, 9_999);

    // A wrong checksum, one left to the device, one that is vouched for.
    let wrong = Tcp::new(1, 2).flags(Tcp::SYN).checksum(Checksum::Wrong);
    frames.add(stack.message(b"").wrap(wrong).wrap(there).wrap(ethernet()));
    frames.add(stack.message(b"").wrap(wrong).wrap(there).wrap(ethernet())).offload =
        Offload { checksum_not_ready: true, ..Offload::default() };
    frames.add(stack.message(b"").wrap(wrong).wrap(there).wrap(ethernet())).offload =
        Offload { checksum_valid: true, ..Offload::default() };
    frames.add(stack.message(b"hello").wrap(udp).wrap(there.checksum(Checksum::Wrong)).wrap(ethernet()));
    // A header that promises more than there is, and one that the snap length cut.
    stack.message(b"").wrap(Tcp::new(1, 2)).wrap(there).wrap(ethernet());
    let mut short = stack.bytes().to_vec();
    short[14 + 3] = 20 + 7;
    frames.add_bytes(&short[..14 + 20 + 7]);
    let length = short.len();
    frames.add(&stack).captured = u32::try_from(length).unwrap() - 10;
    // Tunnels.
    let inner = Ethernet::new([2, 0, 0, 0, 0, 3], [2, 0, 0, 0, 0, 4]);
    let vxlan = Udp::new(50_000, 4789);
    stack.message(b"hello").wrap(udp).wrap(there).wrap(inner).wrap(Vxlan::new(42)).wrap(vxlan);
    frames.add(stack.wrap(back).wrap(ethernet()));
    let gtp = Udp::new(2152, 2152);
    frames.add(
        stack.message(b"hi").wrap(udp).wrap(there).wrap(Gtpu::new(9)).wrap(gtp).wrap(back).wrap(ethernet()),
    );
    frames.add(
        stack.message(b"hello").wrap(SctpData::new(1)).wrap(Sctp::new(7, 8)).wrap(there).wrap(ethernet()),
    );
    // No time; bytes nobody knows.
    frames.add(stack.message(b"hello").wrap(udp).wrap(there).wrap(ethernet())).time = None;
    frames.add(stack.message(b"hello").wrap(ethernet().ether_type(0x9999)));
    frames.add_bytes(b"short");
    frames
}

/// A checksum that is the sum of the pseudo header alone, as a host leaves it to its device, is not called wrong also where the
/// capture file does not say so; nor is an IPv4 header's of 0. JSON says what is in the field.
#[test]
fn what_is_left_to_a_device_is_not_called_wrong() {
    let (mut frames, mut stack) = (Frames::default(), Stack::new());
    let there = Ipv4::new(A, B);
    let tcp = Tcp::new(1, 2).flags(Tcp::ACK);
    let udp = Udp::new(40_000, 9_999).checksum(Checksum::Partial);
    frames.add(stack.message(b"hello").wrap(tcp.checksum(Checksum::Partial)).wrap(there).wrap(ethernet()));
    frames.add(stack.message(b"hello").wrap(udp).wrap(there.checksum(Checksum::Zero)).wrap(ethernet()));
    frames.add(stack.message(b"hello").wrap(tcp.checksum(Checksum::Wrong)).wrap(there).wrap(ethernet()));
    let text = frames.text(TextOptions::default());
    let is_bad: Vec<_> = text.lines().map(|line| line.contains("[bad tcp cksum ")).collect();
    assert_eq!(is_bad, [false, false, true], "{text}");
    assert!(!text.contains("[bad ip ") && !text.contains("[bad udp "), "{text}");
    let verbose = frames.text(TextOptions { verbosity: 1, ..TextOptions::default() });
    for told in [
        "0x1422 (not yet computed: offloaded)",
        ", cksum 0 (not yet computed: offloaded)",
        "[udp cksum not yet computed: offloaded]",
    ] {
        assert!(verbose.contains(told), "{told}: {verbose}");
    }
    let verdicts: Vec<_> = frames.json().iter().map(|object| object["l4_checksum"].clone()).collect();
    assert_eq!(verdicts, ["bad", "bad", "bad"]);
}

/// An option that the snapshot cuts is named, and one that is known is not called unknown because its length is wrong.
#[test]
fn options_that_are_cut_are_named() {
    let (mut frames, mut stack) = (Frames::default(), Stack::new());
    let options = [TcpOption::SackPermitted, TcpOption::Timestamps { value: 7, echo: 0 }];
    let tcp = Tcp::new(1, 2).flags(Tcp::SYN).options(&options);
    frames.add(stack.message(b"").wrap(tcp).wrap(Ipv4::new(A, B)).wrap(ethernet())).captured -= 4;
    frames.add(&stack);
    // Behind Ethernet, IPv4, TCP and the first option: the length of the other one.
    let length = frames.records[1].offset as usize + 14 + 20 + 20 + 2 + 1;
    assert_eq!(frames.slab[length], 10);
    frames.slab[length] = 8;
    let text = frames.text(TextOptions::default());
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].contains("options [sackOK,TS [|tcp]"), "{text}");
    assert!(lines[1].contains("options [sackOK,TS [len 8],"), "{text}");
}

fn golden(name: &str, content: String) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("golden");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, content));
}

#[test]
fn golden_lines() {
    golden("common", common().text(TextOptions::default()));
    let verbose = TextOptions { verbosity: 1, time: TimeStyle::None, ..TextOptions::default() };
    golden("common-verbose", common().text(verbose));
    let link = TextOptions {
        link_header: true,
        number: true,
        nanoseconds: true,
        absolute_sequence: true,
        time: TimeStyle::DateAndTime,
        ..TextOptions::default()
    };
    golden("common-link", common().text(link));
    let none = TextOptions { time: TimeStyle::None, ..TextOptions::default() };
    golden("special", special().text(none.clone()));
    golden("special-verbose", special().text(TextOptions { verbosity: 2, ..none }));
}

#[test]
fn golden_objects() {
    let mut lines = Vec::new();
    common().write(&mut Json::new(&mut lines));
    special().write(&mut Json::new(&mut lines));
    golden("objects", String::from_utf8(lines).unwrap());
}

#[test]
fn objects_say_what_the_contract_asks_for() {
    let objects = common().json();
    let syn = &objects[0];
    assert_eq!(syn["n"], 1);
    assert_eq!(syn["time"], "1700000001.000001007");
    assert_eq!(
        (&syn["src"], &syn["dst"], &syn["proto"]),
        (&"10.0.0.1".into(), &"10.0.0.2".into(), &"tcp".into())
    );
    assert_eq!((&syn["sport"], &syn["dport"]), (&4321.into(), &80.into()));
    assert_eq!((&syn["ip_checksum"], &syn["l4_checksum"]), (&"good".into(), &"good".into()));
    assert_eq!(syn["tcp"]["flags"], 0xc2);
    assert_eq!(syn["tcp"]["seq"], 1_000);
    assert_eq!(objects[2]["tcp"]["len"], 0, "padding is not payload");
    assert_eq!(objects[3]["tcp"]["len"], 37);
    assert_eq!(syn["interface"], "eth\"0");
    let response = &objects[11]["dns"];
    assert_eq!((&response["id"], &response["response"]), (&4_660.into(), &true.into()));
    assert_eq!(response["questions"][0]["name"], "www.example.com");
    assert_eq!(response["answers"][1]["type"], "A");
    assert_eq!(response["answers"][1]["data"], "192.0.2.7");
    let tagged = objects.iter().find(|object| object["svlan"][0] == 7).expect("two tags");
    assert_eq!(tagged["vlan"], serde_json::json!([100]));
    let tunnel = objects.iter().find(|object| object["proto"] == "gre").expect("GRE");
    assert_eq!((&tunnel["inner"]["proto"], &tunnel["inner"]["dport"]), (&"udp".into(), &9_999.into()));

    let objects = special().json();
    let verdicts: Vec<_> = objects[..3].iter().map(|object| object["l4_checksum"].as_str()).collect();
    assert_eq!(verdicts, [Some("bad"), Some("not_ready"), Some("vouched")]);
    assert_eq!(objects[4]["malformed"]["layer"], "tcp");
    assert!(objects[9]["time"].is_null());
}

/// A short snap length cuts TCP's options first, and hides nothing of the header before them.
#[test]
fn a_segment_whose_options_are_cut_has_its_numbers() {
    let options =
        [TcpOption::NoOperation, TcpOption::NoOperation, TcpOption::Timestamps { value: 7, echo: 0 }];
    let tcp = Tcp::new(4321, 80).flags(Tcp::PSH | Tcp::ACK).sequence(77).acknowledgment(88).options(&options);
    let mut stack = Stack::new();
    let mut frames = Frames::default();
    let stack = stack.message(&[b'x'; 900]).wrap(tcp).wrap(Ipv4::new(A, B)).wrap(ethernet());
    let whole = frames.add(stack).wire_length;
    let bytes = frames.slab.clone();
    for captured in [54, 60, 65] {
        frames.add_bytes(&bytes[..captured]).wire_length = whole;
    }
    // Not cut: the header itself goes on beyond the packet.
    frames.add_bytes(&bytes[..60]);
    let objects = frames.json();
    assert_eq!((&objects[0]["tcp"]["seq"], &objects[0]["payload"]), (&77.into(), &900.into()));
    for object in &objects[1..4] {
        assert_eq!((&object["tcp"], &object["payload"]), (&objects[0]["tcp"], &900.into()));
        assert_eq!(object["malformed"]["reason"], "snapped");
    }
    assert_eq!(objects[4]["tcp"], serde_json::Value::Null);
}

/// tcpdump over the same frames: everything it prints, as it prints it.
#[test]
fn tcpdump_prints_the_same() {
    if Command::new("tcpdump").arg("--version").output().is_err() {
        oracles::missing("tcpdump is not installed");
        return;
    }
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(&common().pcap()).unwrap();
    let plain = TextOptions::default();
    let none = TextOptions { time: TimeStyle::None, ..plain.clone() };
    let runs: [(&[&str], TextOptions); 11] = [
        (&[], plain.clone()),
        (
            &["-tttt", "--nano"],
            TextOptions { time: TimeStyle::DateAndTime, nanoseconds: true, ..plain.clone() },
        ),
        (&["-ttt"], TextOptions { time: TimeStyle::SincePrevious, ..plain.clone() }),
        (&["-ttttt"], TextOptions { time: TimeStyle::SinceFirst, ..plain.clone() }),
        (&["-tt", "-q"], TextOptions { time: TimeStyle::Epoch, quick: true, ..plain }),
        (&["-t", "-e"], TextOptions { link_header: true, ..none.clone() }),
        (&["-t", "-S", "-#"], TextOptions { absolute_sequence: true, number: true, ..none.clone() }),
        (&["-t", "-x"], TextOptions { dump: Dump::Hex { link_header: false }, ..none.clone() }),
        (&["-t", "-XX"], TextOptions { dump: Dump::HexAndText { link_header: true }, ..none.clone() }),
        (&["-t", "-A"], TextOptions { dump: Dump::Text { link_header: false }, ..none.clone() }),
        (&["-t", "-vv"], TextOptions { verbosity: 2, ..none }),
    ];
    for (arguments, options) in runs {
        let output = Command::new("tcpdump")
            .env("TZ", "UTC")
            .args(["-n", "-r"])
            .arg(file.path())
            .args(arguments)
            .output()
            .unwrap();
        let theirs = String::from_utf8_lossy(&output.stdout).into_owned();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && !theirs.is_empty(), "tcpdump {arguments:?}: {error}");
        let ours = common().text(options);
        for (ours, theirs) in ours.lines().zip(theirs.lines()) {
            // With -v tcpdump leaves out the length of these, or puts it elsewhere.
            if arguments.contains(&"-vv") && ours.contains("ICMP6") {
                continue;
            }
            // It sums up what an ICMP error quotes, too, where all of that is there.
            let same = |line: &str| line.trim_end().replace("[udp sum ok] ", "");
            assert_eq!(same(ours), same(theirs), "tcpdump {arguments:?}");
        }
        assert_eq!(ours.lines().count(), theirs.lines().count(), "tcpdump {arguments:?}");
    }
}

#[test]
fn no_cut_panics_and_each_is_one_object() {
    for frames in [common(), special()] {
        for record in &frames.records {
            let whole = &frames.slab[record.offset as usize..][..record.captured as usize];
            for snapped in [false, true] {
                let mut cuts = Frames::default();
                for end in 0..=whole.len() {
                    let cut = cuts.add_bytes(&whole[..end]);
                    if snapped {
                        cut.wire_length = record.wire_length;
                    }
                }
                let verbose = TextOptions { verbosity: 3, link_header: true, ..TextOptions::default() };
                let text = cuts.text(verbose);
                assert!(text.lines().count() > whole.len());
                cuts.text(TextOptions {
                    quick: true,
                    dump: Dump::Text { link_header: false },
                    ..TextOptions::default()
                });
                assert_eq!(cuts.json().len(), whole.len() + 1);
            }
        }
    }
}

/// A reader that has gone, or a full disk.
struct Refusing(std::io::ErrorKind);

impl std::io::Write for Refusing {
    fn write(&mut self, _bytes: &[u8]) -> std::io::Result<usize> {
        Err(self.0.into())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_closed_pipe_is_told_from_a_failed_write() {
    use std::io::ErrorKind::{BrokenPipe, StorageFull};
    let interfaces = [Interface::default()];
    let records = [Record { link_type: LinkType::RAW, ..Record::default() }];
    let batch = Batch::new(&[], &records, &interfaces);
    let findings = Findings::given(batch, &[Default::default()], &[Default::default()]);
    let packets = Deliveries::new(batch, &findings, &[0]);
    let closed = Text::new(Refusing(BrokenPipe), TextOptions::default()).write(packets).unwrap_err();
    assert!(matches!(closed, wharf::sink::Error::Closed));
    let full = Json::new(Refusing(StorageFull)).named("packets.json").write(packets).unwrap_err();
    assert!(full.to_string().starts_with("packets.json: "), "{full}");
}
