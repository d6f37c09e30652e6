//! `wharf gen` as far as no interface is needed.

use super::live::in_namespace;
#[cfg(feature = "xdp")]
use super::skip;
use super::{capture, run, told};
use serde_json::Value;
use std::path::Path;
use std::process::Command;
use tempfile::tempdir;

fn sniffed(path: &Path) -> Vec<String> {
    let (code, out, err) = run(["sniff", "-n", "-tt", "-r", path.to_str().unwrap()]);
    assert_eq!(code, 0, "{err}");
    out.lines().map(str::to_owned).collect()
}

fn times(lines: &[String]) -> Vec<f64> {
    lines.iter().map(|line| line.split(' ').next().unwrap().parse().unwrap()).collect()
}

#[test]
fn frames_into_a_file_are_those_of_the_seed_at_the_times_of_the_rate() {
    let dir = tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let write = |name: &str, more: &str| {
        let path = path(name);
        let arguments = format!("gen -w {} --count 300 --size imix --port 53 {more}", path.display());
        let (code, out, err) = run(arguments.split_whitespace());
        assert_eq!((code, err.as_str()), (0, ""), "{out}");
        assert!(out.contains(": 300 packets, ") && out.contains("nothing sent"), "{out}");
        std::fs::read(path).unwrap()
    };
    let first = write("a.pcap", "--rate 1k");
    assert_eq!(first, write("b.pcap", "--rate 1k"));
    assert_ne!(first, write("c.pcap", "--rate 1k --seed 2"));
    let lines = sniffed(&path("a.pcap"));
    assert!(lines.len() == 300 && lines.iter().all(|line| line.contains(".53: ")), "{lines:?}");
    let times = times(&lines);
    assert!(times.windows(2).all(|pair| (pair[1] - pair[0] - 0.001).abs() < 2e-6), "{times:?}");
}

#[test]
fn a_file_is_written_again_faster_and_several_times() {
    let dir = tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).display().to_string();
    let ok = |arguments: String| {
        let (code, _, err) = run(arguments.split_whitespace());
        assert_eq!((code, err.as_str()), (0, ""), "{arguments}");
    };
    ok(format!("gen -w {} --count 3 --rate 10", path("once.pcap")));
    ok(format!("gen -r {} -w {} --speed 2x --loop 3", path("once.pcap"), path("more.pcap")));
    let lines = sniffed(Path::new(&path("more.pcap")));
    let first = times(&lines)[0];
    let since: Vec<i64> = times(&lines).iter().map(|time| ((time - first) * 1e3).round() as i64).collect();
    assert_eq!(since, [0, 50, 100, 150, 200, 250, 300, 350, 400]);
    ok(format!("gen -r {} -w {} --loop forever --count 7 --rate 4", path("once.pcap"), path("seven.pcap")));
    assert_eq!(sniffed(Path::new(&path("seven.pcap"))).len(), 7);
    let (code, _, err) = run(["gen", "-r", &path("once.pcap"), "-w", &path("once.pcap")]);
    assert_eq!(code, 1);
    assert!(err.contains("is the file being read"), "{err}");
}

#[test]
fn a_dry_run_says_what_would_be_sent() {
    let (code, out, err) = run("gen --dry-run --count 1k --size 100 --rate 100".split(' '));
    assert_eq!((code, err.as_str()), (0, ""));
    let expected = "would send 1000 packets of 100 to 100 bytes (100.0 on average), 100 packets/s, the last one after 9.990 s\n";
    assert_eq!(out, expected);
    let (_, out, _) = run("gen --dry-run --json --duration 2s --rate 8kbit --size 100".split(' '));
    let json: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&json["packets"], &json["length"]["most"]), (&20.into(), &100.into()), "{json}");
    assert_eq!(json["asked"]["bits_per_second"], 8_000);
}

#[test]
fn bad_usage_is_one_line_and_code_2() {
    for (arguments, hint) in [
        ("gen", "nowhere to send: give -i IFACE, -w FILE or --dry-run"),
        ("gen -i lo --rate fast", "100k (packets a second) or 1Gbit"),
        ("gen -i lo --size 10", "imix"),
        ("gen -i lo --protocol gre", "tcp:9,udp:1"),
        ("gen -i lo --port 70000", "8000-8999"),
        ("gen -i lo --ipv6 101", "--ipv6"),
        ("gen -i lo --vlan 4096", "0 to 4095"),
        ("gen -i lo --count 0", "10k or 1M"),
        ("gen -i lo --duration soon", "500ms"),
        ("gen -i lo --speed 2x", "--read"),
        ("gen -i lo -r a --speed 2x --rate 1k", "cannot be used with"),
        ("gen -i lo -r a --flat-out --rate 1k", "cannot be used with"),
        ("gen -i lo -r a --seed 2", "cannot be used with"),
        ("gen -i lo --loop 2", "--read"),
        ("gen -i lo -r a --loop 0", "forever"),
        ("gen -i lo -r - --loop 2", "standard input cannot be"),
        ("gen -i lo --source-mac 2:0", "02:00:00:00:00:01"),
        ("gen -i lo --source 10.0.0.0/33", "10.1.0.0/16"),
        ("gen -i lo --source 10.0.0.1 --source 10.0.0.2", "given twice"),
        ("gen -i lo -w a", "cannot be used with"),
        #[cfg(feature = "xdp")]
        ("gen -i lo --live-frames --rate 1M", "cannot be used with"),
        ("gen -w a", "would never end"),
        ("gen -w a --duration 1s", "would never end"),
    ] {
        let (code, out, err) = run(arguments.split(' '));
        assert_eq!((code, out.as_str()), (2, ""), "{arguments}: {err}");
        assert!(err.starts_with("wharf: ") && err.contains(hint), "{arguments}: {err}");
        assert_eq!(err.lines().count(), 1, "{arguments}: {err}");
    }
    let (code, _, err) = run("gen -i wharf-nope0 --count 1".split(' '));
    assert_eq!(code, 1);
    assert!(err.starts_with("wharf: wharf-nope0: no such interface"), "{err}");
}

/// Sends 300 frames from one end of a veth pair to the other, by AF_PACKET, by AF_XDP, and by the kernel alone, and
/// compares them with the same frames written to a file. As root: eBPF is refused in user namespaces.
#[test]
#[cfg(feature = "xdp")]
fn every_way_to_send_gives_the_frames_of_the_seed() {
    let dir = tempdir().unwrap();
    let script = r#"
        command -v ethtool > /dev/null || exit 98
        cd "$1" && ip link add va type veth peer name vb && ip link set va addrgenmode none up &&
        ip link set vb addrgenmode none up && ethtool -K vb gro on > /dev/null || exit 99
        frames="--count 300 --size 60-1514 --seed 5 --ipv6 40 --vlan-share 30"
        "$0" gen -w made.pcap $frames > /dev/null
        "$0" sniff -r made.pcap -n -t -xx 2> /dev/null > made
        for way in --json --xdp --live-frames; do
            timeout 10 "$0" sniff -i vb -Q in -n -p -w got.pcap -c 300 2> listening & sniff=$!
            until grep -q listening listening; do sleep 0.05; done
            "$0" gen -i va $frames $way > account || exit 1
            wait $sniff
            "$0" sniff -r got.pcap -n -t -xx 2> /dev/null > got
            cmp made got && echo "$way: $(grep -c . < got) lines"
            rm listening
        done"#;
    let wharf = env!("CARGO_BIN_EXE_wharf");
    let arguments = ["60", "unshare", "-n", "bash", "-c", script, wharf, dir.path().to_str().unwrap()];
    let output = match Command::new("timeout").args(arguments).output() {
        Ok(output) if output.status.code() != Some(99) && !output.stderr.starts_with(b"unshare:") => output,
        other => return skip("every_way_to_send", &format!("needs root, unshare and ip: {other:?}")),
    };
    if output.status.code() == Some(98) {
        return skip("every_way_to_send", "no ethtool here");
    }
    let (code, out, err) = told(output);
    assert_eq!(code, 0, "{out}{err}");
    let ways: Vec<_> = out.lines().filter_map(|line| line.split(": ").next()).collect();
    assert_eq!(ways, ["--json", "--xdp", "--live-frames"], "{out}{err}");
}

#[test]
fn a_file_for_another_link_type_is_refused_before_anything_is_sent() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("raw.pcap").display().to_string();
    // LINKTYPE_RAW.
    let bytes = [capture::header(101), capture::record(1, &capture::udp(1, 2, 3)[14..])].concat();
    std::fs::write(&path, bytes).unwrap();
    for more in [&[][..], &["--dry-run"]] {
        let (code, out, err) = run(["gen", "-i", "lo", "-r", &path].into_iter().chain(more.iter().copied()));
        assert_eq!((code, out.as_str()), (1, ""), "{err}");
        assert_eq!(
            err,
            format!("wharf: {path}: link type RAW cannot be sent on lo: only Ethernet frames can\n")
        );
    }
}

#[test]
fn when_everything_was_refused_that_is_a_failure() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("long.pcap");
    std::fs::write(&path, capture::pcap([capture::udp(1, 2, 1_400)])).unwrap();
    let script = format!(
        r#"ip link add va mtu 1000 type veth peer name vb; ip link set va up; ip link set vb up
        "$0" gen -i va -r {0} --flat-out; echo $?; "$0" gen -i va -r {0} --flat-out --strict > /dev/null; echo $?"#,
        path.display()
    );
    let Some(output) = in_namespace("when_everything_was_refused", &script) else { return };
    let (code, out, err) = told(output);
    assert_eq!(code, 0, "{err}");
    assert!(out.starts_with("va: 0 packets sent, 1 refused") && out.ends_with("\n1\n3\n"), "{out}{err}");
    assert!(err.contains("wharf: va: nothing was sent: all was refused"), "{err}");
}
