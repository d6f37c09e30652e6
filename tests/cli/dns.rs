//! `wharf dns`: what it tells of a capture file.

use super::capture::pcap;
use super::run;
use std::fs;
use tempfile::tempdir;
use wharf::build::{DnsMessage, DnsRecord, DnsType, Ethernet, Ipv4, Stack, Udp, fragments};

const CLIENT: [u8; 4] = [10, 0, 0, 1];
const RESOLVER: [u8; 4] = [10, 0, 0, 53];

fn frame(from: ([u8; 4], u16), to: ([u8; 4], u16), message: &DnsMessage) -> Vec<u8> {
    let mut stack = Stack::new();
    stack.message(message.bytes()).wrap(Udp::new(from.1, to.1)).wrap(Ipv4::new(from.0, to.0));
    stack.wrap(Ethernet::new([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]));
    stack.bytes().to_vec()
}

/// A name that is found, one that is not, one asked for twice that nobody answers: a packet a second.
pub(crate) fn file() -> Vec<u8> {
    let query = |id, name| DnsMessage::query(id, name, DnsType::A).unwrap();
    let (found, absent, lost) = (query(1, "wharf.test"), query(2, "absent.test"), query(3, "lost.test"));
    let answer = DnsMessage::response(&found).answer(60, DnsRecord::A([192, 0, 2, 7].into())).unwrap();
    let ask = |message| frame((CLIENT, 40_000), (RESOLVER, 53), message);
    let reply = |message| frame((RESOLVER, 53), (CLIENT, 40_000), message);
    pcap([
        ask(&lost),
        ask(&found),
        reply(&answer),
        ask(&absent),
        reply(&DnsMessage::response(&absent).code(3)),
        ask(&lost),
        reply(&answer),
        ask(&query(4, "open.test")),
    ])
}

#[test]
fn every_question_has_a_line_and_the_account_sums() {
    let directory = tempdir().unwrap();
    let path = directory.path().join("dns.pcap").display().to_string();
    fs::write(&path, file()).unwrap();

    let (code, out, err) = run(["dns", "-nr", &path, "--timeout", "7"]);
    assert_eq!(code, 0, "{err}");
    let lines: Vec<Vec<&str>> = out
        .lines()
        .take_while(|line| !line.is_empty())
        .map(|line| line.split_whitespace().collect())
        .collect();
    let expected = [
        "TIME CLIENT SERVER TYPE NAME RESULT LATENCY ANSWERS",
        "2023-11-14",
        "22:13:21.000005 10.0.0.1 10.0.0.53 A wharf.test NOERROR 1.00 s 192.0.2.7",
        "22:13:23.000005 10.0.0.1 10.0.0.53 A absent.test NXDOMAIN 1.00 s",
        "22:13:20.000005 10.0.0.1 10.0.0.53 A lost.test unanswered x2 -",
        "22:13:27.000005 10.0.0.1 10.0.0.53 A open.test open -",
    ];
    assert_eq!(lines.iter().map(|words| words.join(" ")).collect::<Vec<_>>(), expected);
    assert!(out.contains("slowest of 2 answers (1.00 s on average):"), "{out}");
    assert!(out.contains("failed: 1\n       1  NXDOMAIN A absent.test"), "{out}");
    assert!(out.contains("unanswered: 1\n       1  A lost.test of 10.0.0.53"), "{out}");
    let account = "4 questions (and 1 repeats) = 2 answered + 1 unanswered + 0 given up + 1 open; 3 responses = 2 \
                   answers + 1 duplicates + 0 to another question + 0 to none seen + 0 announcements\n";
    assert!(err.contains(account), "{err}");
    assert!(err.ends_with("8 received = 8 delivered + 0 filtered out + 0 dropped\n"), "{err}");

    let (_, json, _) = run(["dns", "-r", &path, "--json", "--trouble", "--timeout", "7"]);
    let objects: Vec<serde_json::Value> =
        json.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let names: Vec<_> = objects.iter().map(|object| object["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["absent.test", "lost.test"]);
    assert_eq!((&objects[0]["rcode"], &objects[0]["latency_us"]), (&3.into(), &1_000_000.into()));

    let (_, csv, _) = run(["dns", "-r", &path, "--csv", "port 1"]);
    assert!(csv.starts_with("time,client,") && csv.lines().count() == 1, "{csv}");
}

/// An answer of which the capture has not all is not one without data.
#[test]
fn what_is_cut_off_is_not_called_empty() {
    let directory = tempdir().unwrap();
    let path = directory.path().join("cut.pcap").display().to_string();
    let asked = DnsMessage::query(1, "wharf.test", DnsType::A).unwrap();
    let answer = DnsMessage::response(&asked).answer(60, DnsRecord::A([192, 0, 2, 7].into())).unwrap();
    let (ask, mut reply) =
        (frame((CLIENT, 40_000), (RESOLVER, 53), &asked), frame((RESOLVER, 53), (CLIENT, 40_000), &answer));
    let wire = reply.len() as u32;
    reply.truncate(reply.len() - 12);
    let mut file = pcap([ask]);
    file.extend([1_700_000_001, 5, reply.len() as u32, wire].map(u32::to_le_bytes).concat());
    file.extend(reply);
    fs::write(&path, file).unwrap();
    let (_, out, err) = run(["dns", "-nr", &path]);
    let words: Vec<_> = out.lines().nth(2).unwrap().split_whitespace().collect();
    assert_eq!(words[4..], ["wharf.test", "CUT", "1.00", "s"], "{out}");
    assert!(err.contains("; 1 answers not whole in the capture"), "{err}");
    let (_, json, _) = run(["dns", "-r", &path, "--json"]);
    let object: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&object["outcome"], &object["cut"]), (&"answered".into(), &true.into()));
    let (_, csv, _) = run(["dns", "-r", &path, "--csv"]);
    let rows: Vec<Vec<&str>> = csv.lines().map(|line| line.split(',').collect()).collect();
    let at = rows[0].iter().position(|name| *name == "cut").unwrap();
    assert_eq!((rows[0].len(), rows[1][at]), (rows[1].len(), "true"));
}

/// An answer in fragments is put together first.
#[test]
fn an_answer_in_fragments_is_whole() {
    let directory = tempdir().unwrap();
    let path = directory.path().join("fragments.pcap");
    let asked = DnsMessage::query(1, "wharf.test", DnsType::A).unwrap();
    let mut answer = DnsMessage::response(&asked);
    for last in 1..=40 {
        answer = answer.answer(60, DnsRecord::A([192, 0, 2, last].into())).unwrap();
    }
    let stack = |from: ([u8; 4], u16), to: ([u8; 4], u16), message: &DnsMessage| {
        let mut stack = Stack::new();
        stack.message(message.bytes()).wrap(Udp::new(from.1, to.1)).wrap(Ipv4::new(from.0, to.0));
        stack
    };
    let mut packets = vec![stack((CLIENT, 40_000), (RESOLVER, 53), &asked).bytes().to_vec()];
    let pieces = fragments(&stack((RESOLVER, 53), (CLIENT, 40_000), &answer), 576, 9);
    assert!(pieces.len() > 1);
    packets.extend(pieces);
    crate::conversation::write(&path, &packets);
    let path = path.display().to_string();
    let (_, json, err) = run(["dns", "-r", &path, "--json"]);
    let object: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(object["answers"].as_array().map(Vec::len), Some(40), "{err}");
    assert!(object.get("cut").is_none() && !err.contains("not whole"), "{err}");
    // Without its second fragment the answer is read as far as it goes: at the end, or, before the question is given up, when
    // something else comes later, at the time of the first fragment.
    let later = stack(([10, 0, 0, 9], 1), ([10, 0, 0, 8], 2), &asked).bytes().to_vec();
    let of_first = vec![packets[0].clone(), packets[1].clone()];
    let others = std::iter::repeat_n(later, 30_000);
    for packets in [of_first.clone(), of_first.into_iter().chain(others).collect()] {
        crate::conversation::write(path.as_ref(), &packets);
        let (_, json, err) = run(["dns", "-r", &path, "--json"]);
        let object: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!((&object["outcome"], &object["cut"]), (&"answered".into(), &true.into()), "{json}");
        assert_eq!(object["latency_us"], 1_000, "{json}");
        let answers = object["answers"].as_array().map_or(0, Vec::len);
        assert!((10..40).contains(&answers), "{json}");
        assert!(err.contains("; 1 IP packets not whole"), "{err}");
    }
    // The first being the one that is missing, there is nothing to read; that there was something is told.
    crate::conversation::write(path.as_ref(), &[&packets[..1], &packets[2..]].concat());
    let (_, json, err) = run(["dns", "-r", &path, "--json"]);
    let object: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(object["outcome"], "open");
    assert!(err.contains("; 1 IP packets not whole"), "{err}");
}

#[test]
fn wrong_options_are_told() {
    for arguments in [&["dns", "-r", "x", "--timeout", "0"][..], &["dns", "-r", "x", "--json", "--csv"]] {
        let (code, _, err) = run(arguments.iter().copied());
        assert_eq!(code, 2, "{err}");
    }
}
