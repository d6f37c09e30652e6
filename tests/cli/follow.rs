//! `wharf follow`: who says what, in order.

use super::{run, told, wharf};
use crate::conversation::{chat, udp, write};
use serde_json::Value;
use tempfile::{TempDir, tempdir};

fn with(packets: &[Vec<u8>]) -> (TempDir, String) {
    let dir = tempdir().unwrap();
    let path = dir.path().join("chat.pcap");
    write(&path, packets);
    let path = path.display().to_string();
    (dir, path)
}

#[test]
fn a_chat_reads_like_a_chat() {
    let (_dir, path) = with(&chat());
    let (code, out, err) = run(["follow", "-r", &path]);
    assert_eq!(code, 0, "{err}");
    let expected = "\
[10.0.0.1:40000 to 10.0.0.2:6667, 0.003000 s]
hello
[10.0.0.2:6667 to 10.0.0.1:40000, 0.005000 s]
saluto\u{74}\u{e9}.[2J
[10.0.0.1:40000 to 10.0.0.2:6667, 0.006000 s]
who
[2 bytes are missing here: not in the capture]
you?
";
    assert_eq!(out, expected);
    let words =
        "wharf: followed tcp 10.0.0.1:40000 to 10.0.0.2:6667: 15 bytes, 14 back; 2 bytes are missing\n";
    assert!(err.starts_with(words) || err.ends_with(words), "{err}");
    assert!(err.contains("11 received = 11 delivered + 0 filtered out + 0 dropped"), "{err}");
}

#[test]
fn bytes_in_hexadecimal_and_raw() {
    let (_dir, path) = with(&chat());
    let (_, out, _) = run(["follow", "-r", &path, "--as", "hex", "--only", "second"]);
    let expected = "\
[10.0.0.2:6667 to 10.0.0.1:40000, 0.005000 s]
    00000000  73 61 6c 75 74 6f                                 |saluto|
    00000006  74 c3 a9 1b 5b 32 4a 0a                           |t...[2J.|
";
    assert_eq!(out, expected);
    let (_, out, _) = run(["follow", "-r", &path, "--as", "raw", "--only", "first"]);
    assert_eq!(out, "hello\r\nwhoyou?\n");
    let (code, _, err) = run(["follow", "-r", &path, "--hex"]);
    assert!(code == 2 && err.contains("--as hex") && !err.contains("'--help' exists"), "{err}");
}

#[test]
fn conversations_are_listed_and_chosen_by_number() {
    let mut packets = chat();
    packets.extend(udp(1, &[b'x'; 3_000], 1_500));
    packets.extend(udp(0, b"answer", 1_500));
    let (_dir, path) = with(&packets);
    let (code, out, err) = run(["follow", "-r", &path, "--list"]);
    assert_eq!((code, out.lines().count()), (0, 3), "{out}{err}");
    let (_, out, _) = run(["follow", "-r", &path, "--list", "--json"]);
    let objects: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&objects[0]["number"], &objects[0]["packets"]), (&1.into(), &serde_json::json!([6, 5])));
    assert_eq!((&objects[1]["proto"], &objects[1]["src"]), (&"udp".into(), &"10.0.0.2".into()));
    let (_, out, err) = run(["follow", "-r", &path, "--number", "2"]);
    let lines: Vec<_> = out.lines().collect();
    assert_eq!(
        (lines[1].len(), lines[3], lines.len()),
        (3_000, "answer", 4),
        "its fragments are put together"
    );
    assert!(err.contains("conversation 2 of 2"), "{err}");
    let (_, out, _) = run(["follow", "-r", &path, "udp"]);
    assert!(out.starts_with("[10.0.0.2:6667 to "), "an expression narrows the choice: {out}");
}

#[test]
fn a_limit_is_one_of_packets_that_match() {
    // Eleven packets of TCP before any of UDP.
    let mut packets = chat();
    for text in [b"one", b"two", b"six"] {
        packets.extend(udp(1, text, 1_500));
    }
    let (_dir, path) = with(&packets);
    for arguments in [&["--as", "raw"][..], &["--list"]] {
        let output = wharf(["follow", "-c", "2", "-r", &path]).args(arguments).arg("udp").output().unwrap();
        let (code, out, err) = told(output);
        assert_eq!(code, 0, "{err}");
        assert!(err.contains(" = 2 delivered"), "{arguments:?}: {err}");
        assert!(arguments[0] == "--list" || out == "onetwo", "{out:?}");
    }
}

#[test]
fn what_is_not_there_is_said() {
    let (_dir, path) = with(&chat());
    for (arguments, code, words) in [
        (&["--number", "7"][..], 1, "there is no conversation 7, but 1 in all"),
        (&["udp"], 1, "there is no conversation over TCP or UDP to follow"),
        (&["--number", "0"], 2, "0"),
        (&["--list", "--as", "hex"], 2, "cannot be used with"),
        (&["--json"], 2, "--list"),
    ] {
        let output = wharf(["follow", "-r", &path]).args(arguments).output().unwrap();
        let (found, _, err) = told(output);
        assert!(found == code && err.contains(words), "{arguments:?}: {found} {err}");
    }
}
