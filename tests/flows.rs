//! The flows of a run: the same records whatever the number of workers, every packet in one, and what the command says.

#[expect(dead_code, reason = "frames of other tests")]
mod conversation;

use assert_cmd::Command;
use std::time::Duration;
use wharf::build::{Ipv4, Stack, Tcp};
use wharf::engine::Engine;
use wharf::flow::MeterOptions;
use wharf::sink::{CaptureFileWriter, FlowFormat, Flows, FlowsOptions};
use wharf::source::CaptureFile;
use wharf::source::synthetic::{Protocol, Synthetic, Traffic};

const FRAMES: u64 = 30_000;

/// A capture of some frames of many flows.
fn capture(directory: &tempfile::TempDir) -> std::path::PathBuf {
    let path = directory.path().join("flows.pcapng");
    let traffic = Traffic {
        frames: FRAMES,
        distinct: 20_000,
        flows: 5_000,
        ipv6_percent: 20,
        vlan_percent: 20,
        tunnel_percent: 10,
        protocols: vec![(Protocol::Tcp, 3), (Protocol::Udp, 2), (Protocol::Icmp, 1)],
        ..Traffic::default()
    };
    let writer = CaptureFileWriter::create(&path).unwrap();
    Engine::builder().source(Synthetic::new(&traffic)).rest(writer).run().unwrap();
    path
}

fn lines(path: &std::path::Path, options: FlowsOptions, cores: &[usize]) -> String {
    let mut lines = Vec::new();
    let source = CaptureFile::open(path).unwrap();
    let mut flows = Flows::new(&mut lines, options).shared();
    Engine::builder().source(source).rest(&mut flows).cores(cores.iter().copied()).run().unwrap();
    let counts = flows.counts();
    assert_eq!(counts.packets + counts.without_flow, FRAMES);
    drop(flows);
    String::from_utf8(lines).unwrap()
}

#[test]
fn records_do_not_depend_on_who_reads_or_on_the_seed() {
    let directory = tempfile::tempdir().unwrap();
    let path = capture(&directory);
    let allowed = rustix::thread::sched_getaffinity(None).unwrap();
    let cores: Vec<usize> = (0..1024).filter(|&core| allowed.is_set(core)).take(3).collect();
    for format in [FlowFormat::Json, FlowFormat::Csv, FlowFormat::Table] {
        for max_flows in [100, 1 << 20] {
            let timeout = Some(Duration::from_millis(5));
            let meter = MeterOptions { max_flows, idle_timeout: timeout, ..MeterOptions::default() };
            let options = FlowsOptions { meter, format, numeric: true, ..FlowsOptions::default() };
            let alone = lines(&path, options, &[]);
            assert!(alone.lines().count() > 100);
            for cores in [&cores[..1], &cores[..]] {
                assert!(lines(&path, options, cores) == alone, "{format:?}, {max_flows} flows on {cores:?}");
            }
        }
    }
}

/// What its receiver throws away is told and not believed, but for what the sending host has left to its device; and all of it
/// counts where nobody verifies.
#[test]
fn wrong_checksums_are_told_and_not_believed() {
    let packet = |port: u16, sequence: u32, flags, payload: &[u8]| {
        let mut stack = Stack::new();
        let tcp = Tcp::new(port, 80).flags(flags).sequence(sequence).acknowledgment(1);
        stack.message(payload).wrap(tcp).wrap(Ipv4::new([10, 0, 0, 1], [10, 0, 0, 2]));
        stack.bytes().to_vec()
    };
    let ack = Tcp::ACK;
    let mut packets =
        vec![packet(1_000, 1, ack, b"one"), packet(1_000, 4, ack, b"two"), packet(1_000, 4, ack, b"two")];
    // Damaged on its way, it comes again.
    packets[1][40] ^= 1;
    packets.extend([
        packet(2_000, 1, ack, b"one"),
        packet(2_000, 4, ack, b"two"),
        packet(2_000, 4, ack, b"two"),
    ]);
    // Left to the device: the sum of addresses, protocol and length.
    let pseudo = 2 * 0x0a00 + 1 + 2 + 6 + 23_u16;
    packets[4][36..38].copy_from_slice(&pseudo.to_be_bytes());
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("wrong.pcap");
    conversation::write(&path, &packets);
    let flow = |unverified, port: u16| {
        let (mut lines, format) = (Vec::new(), FlowFormat::Json);
        let options = FlowsOptions { format, unverified, ..FlowsOptions::default() };
        let source = CaptureFile::open(&path).unwrap();
        Engine::builder().source(source).rest(Flows::new(&mut lines, options)).run().unwrap();
        let text = String::from_utf8(lines).unwrap();
        let flows = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        let flow = flows.into_iter().find(|flow| flow["sport"] == port).unwrap();
        (
            flow["bad_checksums"].clone(),
            flow["tcp"]["sides"][0]["retransmissions"].clone(),
            flow["packets"][0].clone(),
        )
    };
    let none = serde_json::Value::Null;
    assert_eq!(flow(false, 1_000), (serde_json::json!([1, 0]), none.clone(), 3.into()));
    assert_eq!(flow(false, 2_000), (none.clone(), 1.into(), 3.into()));
    assert_eq!(flow(true, 1_000), (none, 1.into(), 3.into()));
}

#[test]
fn every_packet_is_in_a_record() {
    let directory = tempfile::tempdir().unwrap();
    let path = capture(&directory);
    let sum = |max_flows| {
        let meter = MeterOptions { max_flows, ..MeterOptions::default() };
        let options = FlowsOptions { meter, format: FlowFormat::Json, ..FlowsOptions::default() };
        let text = lines(&path, options, &[]);
        let flows = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        flows.fold([0; 3], |[packets, bytes, evicted], flow| {
            let both = |name: &str| flow[name][0].as_u64().unwrap() + flow[name][1].as_u64().unwrap();
            let made_room = u64::from(flow["end"] == "evicted");
            [packets + both("packets"), bytes + both("bytes"), evicted + made_room]
        })
    };
    let (all, few) = (sum(1 << 20), sum(64));
    assert_eq!((all[0], all[1], all[2]), (few[0], few[1], 0));
    assert!(few[2] > 1_000, "{few:?}");
}

#[test]
fn the_command_prints_a_table_or_lines_and_its_sum() {
    let directory = tempfile::tempdir().unwrap();
    let path = capture(&directory).display().to_string();
    let run = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_wharf")).args(arguments).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    let (code, out, err) = run(&["flows", "-n", "-r", &path, "tcp"]);
    assert_eq!(code, Some(0), "{err}");
    assert!(out.starts_with("proto") && out.contains("what became of it"), "{out}");
    assert!(err.contains("flow records + 0 without IP") && err.contains("+ 0 dropped"), "{err}");
    let (_, out, _) = run(&["flows", "-r", &path, "--csv", "-c", "5"]);
    assert!(out.starts_with("proto,src,sport,dst,dport,"), "{out}");
    let columns = out.lines().next().unwrap().split(',').count();
    assert!(out.lines().skip(1).all(|line| line.matches(',').count() + 1 >= columns), "{out}");
    for wrong in [
        &["flows", "-r", &path, "--idle-timeout", "soon"][..],
        &["flows", "-r", &path, "--max-flows", "0"],
        &["flows", "-r", &path, "--every", "1s"],
        &["flows", "-r", &path, "--json", "--csv"],
    ] {
        let (code, out, err) = run(wrong);
        assert_eq!((code, out.as_str()), (Some(2), ""), "{wrong:?}: {err}");
    }
}
