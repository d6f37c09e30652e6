//! Files in, text, tables and files out.

use super::capture::{self, small};
use super::{run, skip, told, wharf};
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use tempfile::{TempDir, tempdir};

/// A directory with `small.pcap` in it, and that file's path.
fn with_small() -> (TempDir, String) {
    let dir = tempdir().unwrap();
    let path = dir.path().join("small.pcap");
    fs::write(&path, small()).unwrap();
    let path = path.display().to_string();
    (dir, path)
}

/// How many packets are in a capture file.
fn packets(path: impl AsRef<Path>) -> u64 {
    let (code, out, err) = run(["sniff", "-r", path.as_ref().to_str().unwrap(), "--count", "--json"]);
    assert_eq!(code, 0, "{err}");
    serde_json::from_str::<Value>(&out).unwrap()["packets"].as_u64().unwrap()
}

#[test]
fn text_on_stdout_and_the_account_on_stderr() {
    let (_dir, path) = with_small();
    let (code, out, err) = run(["sniff", "-nr", &path]);
    assert_eq!(code, 0);
    assert_eq!(out.lines().count(), 5, "{out}");
    assert!(out.starts_with("22:13:20.000005 IP 10.0.0.1.40000 > 10.0.0.2.53: "), "{out}");
    assert_eq!(err, "5 received = 5 delivered + 0 filtered out + 0 dropped\n");
}

#[test]
fn times_are_those_of_the_zone_that_is_asked_for() {
    let (dir, path) = with_small();
    for (zone, time) in [
        ("Europe/Berlin", "23:13:20"),
        (":America/New_York", "17:13:20"),
        ("Asia/Kolkata", "03:43:20"),
        ("EST5EDT", "17:13:20"),
        ("JST-9", "07:13:20"),
    ] {
        let file = Path::new("/usr/share/zoneinfo").join(zone.trim_start_matches(':'));
        if zone.contains('/') && !file.exists() {
            eprintln!("SKIPPED in part: no {}", file.display());
            continue;
        }
        let written = dir.path().join(zone.replace('/', "-"));
        let pattern = format!("{}-%H%M%S", written.display());
        let arguments = ["sniff", "-nr", &path, "-c", "1", "-G", "9", "--print", "-w", &pattern];
        let (code, out, err) = told(wharf(arguments).env("TZ", zone).output().unwrap());
        assert!(code == 0 && out.starts_with(time), "{zone}: {out}{err}");
        let named = format!("{}-{}", written.display(), time.replace(':', ""));
        assert!(Path::new(&named).exists(), "{named}");
    }
}

#[test]
fn a_capture_file_is_not_written_onto_a_terminal() {
    let (_dir, path) = with_small();
    for arguments in ["sniff -r \"$file\" -w -", "split -r \"$file\" --rest -", "gen -w - --count 2"] {
        let mut command = Command::new("script");
        command.args(["-qec", &format!("\"$wharf\" {arguments}"), "/dev/null"]).stdin(Stdio::null());
        command.env("wharf", env!("CARGO_BIN_EXE_wharf")).env("file", &path);
        let Ok(output) = command.output() else { return skip("not_onto_a_terminal", "no script(1) here") };
        let (code, out, _) = told(output);
        assert_eq!(code, 2, "{arguments}: {out}");
        assert!(out.starts_with("wharf: -: standard output is a terminal"), "{arguments}: {out}");
    }
}

#[test]
fn flags_may_be_clustered_as_tcpdump_takes_them() {
    let (_dir, path) = with_small();
    let (code, out, err) = run(["sniff", "-nnvvXSs0", "-ttttc2", "-r", &path]);
    assert_eq!(code, 0, "{err}");
    assert!(out.starts_with("2023-11-14 22:13:20.000005 IP (tos"), "{out}");
    assert!(out.contains("\t0x0000: "), "{out}");
    assert!(err.starts_with("2 received = 2 delivered"), "{err}");
}

/// As `editcap -s` does; what -s 0 keeps is all of it.
#[test]
fn packets_of_a_file_are_cut_where_they_are_written() {
    let (dir, path) = with_small();
    let file = |name: &str| dir.path().join(name).display().to_string();
    let lengths = |path: &str| -> Vec<(u64, u64)> {
        let (code, out, err) = run(["sniff", "-r", path, "--json"]);
        assert_eq!(code, 0, "{err}");
        let objects = out.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        objects.map(|o| (o["caplen"].as_u64().unwrap(), o["len"].as_u64().unwrap())).collect()
    };
    let whole = lengths(&path);
    assert!(whole.iter().any(|(captured, _)| *captured > 60), "{whole:?}");
    let cut: Vec<_> = whole.iter().map(|(captured, length)| ((*captured).min(60), *length)).collect();
    for name in ["cut.pcapng", "cut.pcap"] {
        assert_eq!(run(["sniff", "-r", &path, "-s", "60", "-w", &file(name)]).0, 0);
        assert_eq!(lengths(&file(name)), cut, "{name}");
    }
    let to = format!("any/1-65535={}", file("split.pcapng"));
    assert_eq!(run(["split", "-r", &path, "-s", "60", "--to", &to]).0, 0);
    assert_eq!(lengths(&file("split.pcapng")), cut[..4], "the last one has no port");
    assert_eq!(run(["split", "-r", &path, "-s", "60", "--each", &file("{proto}-all.pcapng")]).0, 0);
    assert!(lengths(&file("udp-all.pcapng")).iter().all(|(captured, _)| *captured <= 60));
    for all in ["0", "65535"] {
        assert_eq!(run(["sniff", "-r", &path, "-s", all, "-w", &file("all.pcapng")]).0, 0);
        assert_eq!(lengths(&file("all.pcapng")), whole);
        assert_eq!(run(["sniff", "-n", "-r", &path, "-s", all]).0, 0, "a habit that cuts nothing");
    }
}

#[test]
fn json_is_an_object_a_packet() {
    let (_dir, path) = with_small();
    let (code, out, _) = run(["sniff", "-r", &path, "--json"]);
    assert_eq!(code, 0);
    let objects: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(objects.len(), 5);
    assert_eq!((&objects[3]["dport"], &objects[3]["time"]), (&443.into(), &"1700000003.000005000".into()));
}

#[test]
fn counts_by_port() {
    let (_dir, path) = with_small();
    let (code, table, err) = run(["sniff", "-r", &path, "--count"]);
    assert_eq!(code, 0, "{err}");
    let rows: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[0][..4], ["protocol", "port", "packets", "share"]);
    assert_eq!(rows[1][..2], ["udp", "53"]);
    assert!(
        table.ends_with(
            "5 packets, 326 bytes, 4.000000 s, from 2023-11-14 22:13:20.000005 to 2023-11-14 22:13:24.000005\n"
        ),
        "{table}"
    );

    let (_, json, _) = run(["sniff", "-r", &path, "--count", "--json"]);
    let json: Value = serde_json::from_str(&json).unwrap();
    let rows = json["rows"].as_array().unwrap();
    let key = |row: &Value| (row["protocol"].clone(), row["port"].clone(), row["packets"].clone());
    let expected = [("udp", Value::from(53), 3), ("udp", 443.into(), 1), ("arp", Value::Null, 1)];
    assert_eq!(
        rows.iter().map(key).collect::<Vec<_>>(),
        expected.map(|(protocol, port, packets)| (protocol.into(), port, packets.into()))
    );
    assert_eq!(
        (&json["first"], &json["last"]),
        (&"1700000000.000005000".into(), &"1700000004.000005000".into())
    );
    assert_eq!(rows[0]["bytes"], 3 * 42 + 4 + 8 + 4);
    assert_eq!(rows[0]["share"], 0.6);
    assert_eq!(rows[0]["packets_per_second"], 0.75);
    assert_eq!(rows[0]["checksums"]["absent"], 3);
    assert_eq!(rows[0]["bad_ip_checksums"], 0);
}

/// What has neither IP nor an EtherType is named as far as that is known.
#[test]
fn frames_without_an_ether_type_have_rows_of_their_own() {
    let llc = |bytes: &[u8]| {
        let mut frame = vec![1, 0x80, 0xc2, 0, 0, 0, 2, 0, 0, 0, 0, 1, 0, bytes.len() as u8];
        frame.extend(bytes);
        frame.resize(60, 0);
        frame
    };
    let frames = [
        llc(&[0x42, 0x42, 3, 0, 0, 2, 2]),
        llc(&[0xaa, 0xaa, 3, 0, 0, 0x0c, 0x20, 0, 2, 180]),
        llc(&[0xaa, 0xaa, 3, 0, 0, 0x0c, 0x01, 0x0b, 0, 0]),
        llc(&[0xf0, 0xf0, 3, 0]),
        llc(&[]),
    ];
    let dir = tempdir().unwrap();
    let path = dir.path().join("llc.pcap").display().to_string();
    fs::write(&path, capture::pcap(frames)).unwrap();
    let (code, table, err) = run(["sniff", "-r", &path, "--count"]);
    assert_eq!(code, 0, "{err}");
    let mut names: Vec<_> =
        table.lines().skip(1).take(5).map(|line| line.split(' ').next().unwrap()).collect();
    names.sort_unstable();
    assert_eq!(names, ["802.3", "cdp", "llc", "pvst", "stp"], "{table}");
}

/// Every packet is in one column of what is above IP, and those with a wrong IPv4 header in one of their own. What the sending host
/// has left to its device is called offloaded, by the table and by the account.
#[test]
fn counted_checksums_add_up_to_the_packets() {
    let mut frames: Vec<_> = (0..6).map(|_| capture::udp(40_000, 53, 4)).collect();
    // The first has a wrong one, of the next ones the pseudo header's sum is in the field, and the header's is left as 0.
    let pseudo = 2 * 0x0a00 + 1 + 2 + 17 + 12_u16;
    frames[0][40] = 1;
    frames[1][40..42].copy_from_slice(&pseudo.to_be_bytes());
    frames[2][40..42].copy_from_slice(&pseudo.to_be_bytes());
    frames[2][24..26].fill(0);
    // An IPv4 header is wrong, and what is behind it has no checksum.
    frames[3][25] ^= 1;
    let dir = tempdir().unwrap();
    let path = dir.path().join("sums.pcap").display().to_string();
    fs::write(&path, capture::pcap(frames)).unwrap();
    let (code, table, err) = run(["sniff", "-r", &path, "--count"]);
    assert_eq!(code, 0, "{err}");
    let titles = table.lines().next().unwrap();
    assert!(titles.ends_with("good  bad  offloaded  unverified  bad ip"), "{table}");
    let row: Vec<&str> = table.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!(row[row.len() - 5..], ["0", "1", "2", "3", "1"], "{table}");
    assert!(
        err.contains("\nbad checksums: 1 in IPv4 headers, 1 in what IP carries (TCP, UDP, ...)\n"),
        "{err}"
    );
}

#[test]
fn damage_comes_after_every_packet_before_it() {
    let (_dir, path) = with_small();
    fs::write(&path, &small()[..small().len() - 3]).unwrap();
    for arguments in [&["sniff", "-nr", &path][..], &["sniff", "-r", &path, "--json"]] {
        let (code, out, err) = run(arguments.iter().copied());
        assert_eq!((code, out.lines().count()), (1, 4), "{err}");
        let last = err.lines().last().unwrap();
        assert!(last.starts_with(&format!("wharf: {path}: damaged at byte ")), "{err}");
        assert!(last.contains("after 4 packets"), "{err}");
    }
    let (code, table, _) = run(["sniff", "-r", &path, "--count"]);
    assert_eq!(code, 1);
    assert!(table.contains("4 packets, "), "{table}");
}

#[test]
fn a_copy_and_its_print() {
    let (dir, path) = with_small();
    let copy = dir.path().join("copy.pcapng").display().to_string();
    let (code, out, err) = run(["sniff", "-r", &path, "-w", &copy, "--comment", "from the tests"]);
    assert_eq!((code, out.as_str()), (0, ""), "{err}");
    assert_eq!(run(["sniff", "-r", &copy, "-n"]).1, run(["sniff", "-r", &path, "-n"]).1);
    assert!(String::from_utf8_lossy(&fs::read(&copy).unwrap()).contains("from the tests"));

    let (_, out, _) = run(["sniff", "-r", &path, "-w", &copy, "--print", "-n"]);
    assert_eq!(out.lines().count(), 5);
    let (_, bytes) =
        (0, wharf(["sniff", "-r", &path, "-w", "-", "--format", "pcap"]).output().unwrap().stdout);
    let again = told(wharf(["sniff", "-nr", "-"]).write_stdin(bytes).output().unwrap());
    assert_eq!(again.1, out);
}

#[test]
fn the_file_being_read_is_not_overwritten() {
    let (dir, path) = with_small();
    let link = dir.path().join("link.pcap");
    fs::hard_link(&path, &link).unwrap();
    for arguments in [
        vec!["sniff", "-r", &path, "-w", link.to_str().unwrap()],
        vec!["split", "-r", &path, "--to", "udp/53=/dev/null", "--rest", &path],
    ] {
        let (code, _, err) = run(arguments);
        assert_eq!(code, 1);
        assert!(err.contains("is the file being read"), "{err}");
    }
    assert_eq!(fs::read(&path).unwrap(), small());
}

/// A rotation, a template and a link come upon files of the run by names that nobody wrote.
#[test]
fn no_output_destroys_the_input_or_another_output() {
    let (dir, _) = with_small();
    let path = |name: &str| dir.path().join(name).display().to_string();
    let many = capture::pcap((0..2000).map(udp_of));
    let refused = |arguments: &[&str], name: &str| {
        let (code, _, err) = run(arguments.iter().copied());
        let expected = format!("wharf: {}: this run reads or writes that file already", path(name));
        assert!(code == 1 && err.lines().last().unwrap().starts_with(&expected), "{arguments:?}: {err}");
    };
    fs::write(path("ring.pcap1"), &many).unwrap();
    refused(&["sniff", "-r", &path("ring.pcap1"), "-w", &path("ring.pcap"), "-C", "64k"], "ring.pcap1");
    assert_eq!(fs::read(path("ring.pcap1")).unwrap(), many);

    fs::write(path("udp-7.pcap"), &many).unwrap();
    refused(&["split", "-r", &path("udp-7.pcap"), "--each", &path("{proto}-{port}.pcap")], "udp-7.pcap");
    assert_eq!(fs::read(path("udp-7.pcap")).unwrap(), many);

    let (to, each) = (format!("udp/53={}", path("udp-443.pcap")), path("{proto}-{port}.pcap"));
    refused(&["split", "-r", &path("small.pcap"), "--to", &to, "--each", &each], "udp-443.pcap");
    std::os::unix::fs::symlink(path("one"), path("two")).unwrap();
    let to = format!("udp/53={}", path("one"));
    refused(&["split", "-r", &path("small.pcap"), "--to", &to, "--rest", &path("two")], "two");
}

/// `--max-open` promises more than `ulimit -n` allows.
#[test]
fn a_split_makes_do_with_few_open_files() {
    let dir = tempdir().unwrap();
    let from = dir.path().join("from.pcap");
    fs::write(&from, capture::pcap((0..3).flat_map(|_| (1..=100).map(|port| capture::udp(port, port, 9)))))
        .unwrap();
    let script = "ulimit -n 24; exec \"$0\" split -r \"$1\" --each \"$2/parts/{port}.pcap\"";
    let arguments = ["-c", script, env!("CARGO_BIN_EXE_wharf"), from.to_str().unwrap()];
    let output = Command::new("sh").args(arguments).arg(dir.path()).output().unwrap();
    let (code, _, err) = told(output);
    assert_eq!((code, err.as_str()), (0, "300 received = 300 delivered + 0 filtered out + 0 dropped\n"));
    let parts = fs::read_dir(dir.path().join("parts")).unwrap();
    assert!(parts.map(|part| packets(part.unwrap().path())).eq([3; 100]));
}

#[test]
fn what_the_capture_cut_short_is_not_called_malformed() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("cut.pcap").display().to_string();
    let mut record = capture::record(1, &udp_of(7)[..38]);
    record[12..16].copy_from_slice(&60_u32.to_le_bytes());
    fs::write(&path, [capture::header(1), record].concat()).unwrap();
    let (code, _, err) = run(["sniff", "-nr", &path]);
    assert_eq!(code, 0);
    assert_eq!(err.lines().nth(1), Some("headers cut by the snapshot length: 1 UDP"), "{err}");
}

#[test]
fn rotation_by_size() {
    let dir = tempdir().unwrap();
    let (from, to) = (dir.path().join("from.pcap"), dir.path().join("to.pcap"));
    fs::write(&from, capture::pcap((0..2000).map(udp_of))).unwrap();
    let (code, _, err) =
        run(["sniff", "-r", from.to_str().unwrap(), "-w", to.to_str().unwrap(), "-C", "64k"]);
    assert_eq!(code, 0, "{err}");
    let parts: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(parts.len() > 3, "{parts:?}");
    let copied: u64 = parts.iter().filter(|path| **path != from).map(packets).sum();
    assert_eq!(copied, 2000);
}

#[test]
fn rotation_by_packets() {
    let (dir, path) = with_small();
    let to = dir.path().join("to.pcapng").display().to_string();
    let (code, _, err) = run(["sniff", "-r", &path, "-w", &to, "--file-packets", "2"]);
    assert_eq!((code, err.as_str()), (0, "5 received = 5 delivered + 0 filtered out + 0 dropped\n"));
    assert_eq!(["", "1", "2"].map(|number| packets(format!("{to}{number}"))), [2, 2, 1]);
}

#[test]
fn a_wanted_number_of_files_by_time() {
    let (dir, path) = with_small();
    let pattern = dir.path().join("out-%S.pcap").display().to_string();
    let (code, _, err) = run(["sniff", "-r", &path, "-w", &pattern, "-G", "2", "-W", "2"]);
    assert_eq!((code, err.as_str()), (0, "4 received = 4 delivered + 0 filtered out + 0 dropped\n"));
    assert_eq!(["out-20.pcap", "out-22.pcap"].map(|name| packets(dir.path().join(name))), [2, 2]);
}

fn udp_of(port: u16) -> Vec<u8> {
    capture::udp(40_000, port, 100)
}

#[test]
fn split_by_rules() {
    let (dir, path) = with_small();
    let file = |name: &str| dir.path().join(name).display().to_string();
    let (code, out, err) = run([
        "split",
        "-r",
        &path,
        "--to",
        &format!("udp/53={}", file("dns.pcap")),
        "--to",
        &format!("tcp/1-65535={}", file("tcp.pcap")),
        "--rest",
        &file("rest.pcapng"),
        "--json",
    ]);
    assert_eq!(code, 0, "{err}");
    assert_eq!(["dns.pcap", "tcp.pcap", "rest.pcapng"].map(|name| packets(file(name))), [3, 0, 2]);
    assert!(
        err.contains("\n  udp/53       3 received = 3 delivered + 0 filtered out + 0 dropped\n"),
        "{err}"
    );
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&report["delivered"], &report["outputs"][2]["rule"]), (&5.into(), &"rest".into()));

    let (code, _, err) = run(["split", "-r", &path, "--to", &format!("udp/53={}", file("dns.pcap"))]);
    assert_eq!(code, 0);
    assert!(err.starts_with("5 received = 3 delivered + 2 filtered out + 0 dropped"), "{err}");
}

#[test]
fn split_into_a_file_for_each_port() {
    let (dir, path) = with_small();
    let template = dir.path().join("by/{proto}-{port}.pcapng");
    let (code, _, err) = run(["split", "-r", &path, "--each", template.to_str().unwrap(), "--max-open", "1"]);
    assert_eq!(code, 0, "{err}");
    let names = ["udp-53.pcapng", "udp-443.pcapng", "arp-none.pcapng"];
    assert_eq!(names.map(|name| packets(dir.path().join("by").join(name))), [3, 1, 1]);
}

#[test]
fn outputs_that_cannot_be_written() {
    let (dir, path) = with_small();
    let nowhere = dir.path().join("no/such/dir.pcapng").display().to_string();
    for (arguments, reason) in [
        (vec!["sniff", "-r", &path, "-w", &nowhere], "No such file or directory"),
        (vec!["sniff", "-r", &path, "-w", dir.path().to_str().unwrap()], "directory"),
        (vec!["split", "-r", &path, "--rest", &nowhere], "No such file or directory"),
        (vec!["sniff", "-r", &path, "-w", "/dev/full"], "No space left on device"),
        (vec!["split", "-r", &path, "--rest", "/dev/full"], "No space left on device"),
    ] {
        let (code, out, err) = run(arguments.clone());
        assert_eq!((code, out.as_str()), (1, ""), "{arguments:?}: {err}");
        let last = err.lines().last().unwrap();
        assert!(last.starts_with("wharf: ") && last.contains(reason), "{arguments:?}: {err}");
        assert_eq!(err.matches("wharf: ").count(), 1, "{err}");
    }
}

#[test]
fn standard_output_that_cannot_be_written() {
    let (_dir, path) = with_small();
    for arguments in [
        &["sniff", "-nr", &path][..],
        &["sniff", "-r", &path, "--count"],
        &["interfaces"],
        &["man"],
        &["--help"],
        &["demo", "--offline"],
    ] {
        let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_wharf")).args(arguments).stdout(full).output().unwrap();
        let (code, _, err) = told(output);
        assert_eq!(code, 1, "{arguments:?}: {err}");
        assert!(err.contains("standard output: No space left on device"), "{arguments:?}: {err}");
    }
}

/// A file system of 64 KiB in a namespace of its own: what fits is there and readable, the rest is accounted for.
#[test]
fn a_full_disk() {
    let dir = tempdir().unwrap();
    let from = dir.path().join("large.pcap");
    fs::write(&from, capture::large()).unwrap();
    let mount = dir.path().join("mount");
    fs::create_dir(&mount).unwrap();
    let script = r#"from=$1; mount -t tmpfs -o size=64k none "$2" && cd "$2" || exit 99; shift 2
        "$0" "$@" -r "$from"; code=$?
        for file in *.pcap*; do [ ! -e $file ] || "$0" sniff -nr $file || exit 98; done
        exit $code"#;
    for arguments in [
        &["sniff", "-w", "out.pcapng"][..],
        &["sniff", "-w", "out.pcap", "--print", "--count"],
        &["split", "--each", "{dport}.pcapng"],
        &["split", "--to", "udp/53=dns.pcap", "--rest", "rest.pcapng"],
    ] {
        let output = Command::new("unshare")
            .args(["-Urm", "sh", "-c", script, env!("CARGO_BIN_EXE_wharf")])
            .args([&from, &mount])
            .args(arguments)
            .output();
        let (code, out, err) = match output {
            Ok(output) if output.status.code() != Some(99) && !output.stderr.starts_with(b"unshare:") => {
                told(output)
            }
            Ok(output) => return skip("a_full_disk", &String::from_utf8_lossy(&output.stderr)),
            Err(error) => return skip("a_full_disk", &format!("unshare: {error}")),
        };
        assert_eq!(code, 1, "{arguments:?}: {err}");
        assert!(err.contains(": No space left on device"), "{arguments:?}: {err}");
        let (ledger, _) = err.split_once('\n').unwrap();
        assert!(ledger.contains(" received = ") && ledger.ends_with(" output failed)"), "{ledger}");
        let read_back = out.lines().filter(|line| line.contains(" IP ")).count();
        assert!(
            ledger.contains(&format!(" = {read_back} delivered ")),
            "{arguments:?}: {read_back}, {ledger}"
        );
    }
}

/// What stood in a file before `>>` is not ours: a failure leaves it there.
#[test]
fn a_full_disk_behind_standard_output_takes_nothing_from_the_file() {
    let dir = tempdir().unwrap();
    let from = dir.path().join("large.pcap");
    fs::write(&from, capture::large()).unwrap();
    let mount = dir.path().join("mount");
    fs::create_dir(&mount).unwrap();
    let script = r#"mount -t tmpfs -o size=64k none "$2" && cd "$2" || exit 99
        head -c 40000 /dev/zero | tr '\0' k > keep
        "$0" sniff -r "$1" -w - "$3" >> keep; code=$?
        head -c 40000 keep | tr -d k | wc -c; wc -c < keep; exit $code"#;
    for options in ["-n", "-U", "--format=pcap", "--write-queue=1m"] {
        let output = Command::new("unshare")
            .args(["-Urm", "sh", "-c", script, env!("CARGO_BIN_EXE_wharf")])
            .args([&from, &mount])
            .arg(options)
            .output();
        let (code, out, err) = match output {
            Ok(output) if output.status.code() != Some(99) && !output.stderr.starts_with(b"unshare:") => {
                told(output)
            }
            other => return skip("a_full_disk_behind_standard_output", &format!("{other:?}")),
        };
        assert_eq!(code, 1, "{options}: {err}");
        let sizes: Vec<usize> = out.split_whitespace().map(|number| number.parse().unwrap()).collect();
        assert!(sizes[0] == 0 && sizes[1] > 40_000, "{options}: {sizes:?}: {err}");
        assert!(err.contains("standard output: No space left on device"), "{options}: {err}");
        assert!(err.contains(" packets were written") && !err.contains("kept its first"), "{options}: {err}");
    }
}
