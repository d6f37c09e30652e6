//! `wharf flows --streams` and `--ipfix`: what was said, and records for others.

use super::run;
use crate::conversation::{chat, udp, write};
use serde_json::{Value, json};
use std::fs;
use tempfile::tempdir;

#[test]
fn a_flow_names_the_files_of_what_was_said() {
    let dir = tempdir().unwrap();
    let (input, said) = (dir.path().join("in.pcap"), dir.path().join("said"));
    let mut packets = chat();
    packets.extend(udp(0, b"not TCP", 1_500));
    write(&input, &packets);
    let (input, out) = (input.to_str().unwrap(), said.to_str().unwrap());
    let (code, lines, err) = run(["flows", "-r", input, "--json", "--streams", out]);
    assert_eq!(code, 0, "{err}");
    let flows: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |proto: &str| flows.iter().find(|flow| flow["proto"] == proto).unwrap();
    let names = ["tcp-10.0.0.1.40000-10.0.0.2.6667", "tcp-10.0.0.2.6667-10.0.0.1.40000"];
    assert_eq!((&of("tcp")["streams"], &of("tcp")["gaps"]), (&json!(names), &json!([2, 0])));
    assert!(of("udp").get("streams").is_none());
    assert_eq!(fs::read(said.join(names[0])).unwrap(), b"hello\r\nwhoyou?\n");
    assert!(err.contains("streams: 29 bytes = 29 written + 0 repeated + 0 outside; 2 missing"), "{err}");
}

#[test]
fn records_go_to_a_file_as_ipfix() {
    let dir = tempdir().unwrap();
    let (input, output) = (dir.path().join("in.pcap"), dir.path().join("flows.ipfix"));
    write(&input, &chat());
    let (input, out) = (input.to_str().unwrap(), output.to_str().unwrap());
    let (code, _, err) = run(["flows", "-r", input, "--ipfix", out]);
    assert_eq!(code, 0, "{err}");
    assert!(err.contains("ipfix: 1 records sent"), "{err}");
    let bytes = fs::read(&output).unwrap();
    assert_eq!(
        (&bytes[..2], usize::from(u16::from_be_bytes([bytes[2], bytes[3]]))),
        (&[0, 10][..], bytes.len())
    );
    for (target, code, words) in [
        ("http://localhost:1", 2, "udp://HOST:PORT"),
        ("udp://localhost", 1, "udp://localhost: "),
        ("tcp://127.0.0.1:1", 1, "tcp://127.0.0.1:1: "),
        (input, 1, ""),
    ] {
        let (found, _, err) = run(["flows", "-r", input, "--ipfix", target]);
        assert!(found == code && err.contains(words), "{target}: {found} {err}");
    }
}
