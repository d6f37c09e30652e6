//! `wharf doctor`, and what runs tell of the host.

use super::live::in_namespace;
use super::{run, skip, told};
use serde_json::Value;
use std::process::Command;

#[test]
fn the_host_and_an_interface_are_examined_by_anybody() {
    let (code, out, err) = run(["doctor", "lo"]);
    assert!(matches!(code, 0 | 3), "{code}: {err}");
    assert!(out.starts_with("host\n") && out.contains("\nlo: "), "{out}");
    assert!(out.lines().last().unwrap().ends_with(" bad"), "{out}");
    let (code, out, err) = run(["doctor"]);
    assert!(matches!(code, 0 | 3), "{code}: {err}");
    assert!(out.contains("  lo (") && out.contains("`wharf doctor IFACE`"), "{out}");
}

#[test]
fn machines_get_all_of_it() {
    let (code, out, err) = run(["doctor", "lo", "--json"]);
    let diagnosis: Value = serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}{err}"));
    let findings = diagnosis["findings"].as_array().unwrap();
    let bad = findings.iter().filter(|finding| finding["severity"] == "bad").count();
    assert_eq!(code, if bad > 0 { 3 } else { 0 });
    let lo = &diagnosis["interfaces"][0];
    assert_eq!((&lo["name"], lo["mtu"].is_u64()), (&"lo".into(), true), "{lo}");
    assert!(lo["driver"].is_null() && ["running", "down"].contains(&lo["state"].as_str().unwrap()), "{lo}");
    for finding in findings {
        assert!(
            ["good", "note", "warn", "bad"].contains(&finding["severity"].as_str().unwrap()),
            "{finding}"
        );
        assert_eq!(finding["meaning"] == "", finding["severity"] == "good", "{finding}");
    }
    assert!(findings.iter().any(|finding| finding["interface"] == "lo" && finding["check"] == "mtu"));
    let (_, worse, _) = run(["doctor", "lo", "--json", "--least", "bad"]);
    let worse: Value = serde_json::from_str(&worse).unwrap();
    assert_eq!(worse["findings"].as_array().unwrap().len(), bad);
}

#[test]
fn no_such_interface_and_bad_usage() {
    let (code, out, err) = run(["doctor", "wharf-nope0"]);
    assert_eq!((code, out.as_str()), (1, ""), "{err}");
    assert!(err.starts_with("wharf: wharf-nope0: no such interface"), "{err}");
    assert_eq!(run(["doctor", "--selftest", "lo"]).0, 2);
    assert_eq!(run(["doctor", "--least", "worst"]).0, 2);
    for times in ["0", "1w", "5ms"] {
        assert_eq!(run(["sniff", "-r", "x", "--stats", times]).0, 2, "{times}");
    }
    assert_eq!(run(["sniff", "-r", "x", "--stats-format", "json"]).0, 2, "without --stats");
    assert_eq!(run(["sniff", "-r", "x", "--strict=all"]).0, 2);
    assert_eq!(run(["sniff", "-r", "x", "--strict=host"]).0, 2, "a file has no host to ask");
}

#[test]
fn without_permission_that_is_what_is_bad() {
    // A user namespace alone: all rights inside it, given up before wharf starts.
    let wharf = env!("CARGO_BIN_EXE_wharf");
    let output = Command::new("unshare")
        .args(["-U", "setpriv", "--bounding-set=-all", wharf, "doctor", "lo"])
        .output();
    let output = match output {
        Ok(output) if !output.stderr.starts_with(b"unshare:") && !output.stderr.starts_with(b"setpriv:") => {
            output
        }
        Ok(output) => return skip("without_permission", &String::from_utf8_lossy(&output.stderr)),
        Err(error) => return skip("without_permission", &format!("unshare: {error}")),
    };
    let (code, out, err) = told(output);
    assert_eq!(code, 3, "{out}{err}");
    assert!(out.contains("  bad   CAP_NET_RAW is missing\n"), "{out}");
    assert!(out.contains("-> sudo setcap cap_net_raw,cap_net_admin+ep /"), "{out}");
}

#[test]
fn the_self_test_accounts_for_every_frame() {
    let wharf = env!("CARGO_BIN_EXE_wharf");
    let (code, out, err) = told(
        Command::new("timeout").args(["120", wharf, "doctor", "--selftest", "--json"]).output().unwrap(),
    );
    if code == 1 && err.contains("no namespace of our own") {
        return skip("the_self_test", &err);
    }
    assert_eq!(code, 0, "{out}{err}");
    let verdicts: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(verdicts.as_array().unwrap().len(), 2, "{out}");
    for verdict in verdicts.as_array().unwrap() {
        for trial in verdict["trials"].as_array().unwrap() {
            let number = |name: &str| trial[name].as_u64().unwrap();
            assert!(number("sent") > 0, "{trial}");
            assert_eq!(number("unaccounted"), 0, "{trial}");
            assert!(number("received") <= number("sent"), "{trial}");
            assert!(number("sent") <= number("received") + number("sender_tx_dropped"), "{trial}");
            let ring = number("kernel_ring_full") + number("output_ring_full");
            assert_eq!(number("received"), number("delivered") + ring, "{trial}");
        }
    }
}

/// A veth pair whose far end, `vb`, has no room for frames of more than 600 bytes.
const NARROW: &str = "
    ip link add va type veth peer name vb && ip link set vb mtu 600 && ip link set va up && ip link set vb up || exit 99
    ip addr add 10.9.0.1/24 dev va && ip neigh add 10.9.0.2 lladdr 02:00:00:00:00:09 dev va || exit 99
    err=$(mktemp)
    long() { for n in 1 2 3; do head -c 1000 /dev/zero > /dev/udp/10.9.0.2/9; done; }
    until_listening() { until grep -q listening \"$err\"; do sleep 0.05; done; }
";

#[test]
fn sysfs_of_the_same_namespace_is_read() {
    // A mount of its own shows the interfaces of the namespace.
    let script = r#"
        ip link add va type veth peer name vb && ip link set va up && ip link set vb up || exit 99
        unshare -m bash -c 'mount -t sysfs sysfs /sys || exit 99
            ethtool -K vb gro on && echo 1 > /sys/class/net/vb/threaded
            cat /sys/class/net/vb/threaded
            exec "$0" doctor vb --json' "$0""#;
    let Some(output) = in_namespace("sysfs_of_the_same_namespace_is_read", script) else { return };
    let (code, out, err) = told(output);
    assert_eq!(code, 0, "{out}{err}");
    let (threaded, out) = out.split_once('\n').unwrap();
    if threaded != "1" {
        skip("sysfs_of_the_same_namespace_is_read", "no ethtool here that would switch NAPI on");
    }
    let diagnosis: Value = serde_json::from_str(out).unwrap();
    let findings = diagnosis["findings"].as_array().unwrap();
    let of = |check: &str| {
        findings.iter().find(|finding| finding["check"] == check && finding["interface"] == "vb")
    };
    assert_eq!(of("napi").unwrap()["severity"], if threaded == "1" { "warn" } else { "good" }, "{out}");
    assert!(of("rps").is_some(), "{out}");
    assert!(!diagnosis["unseen"].as_array().unwrap().iter().any(|unseen| unseen["check"] == "rps"), "{out}");
}

#[test]
fn frames_that_found_no_room_at_a_veth_are_named_in_the_summary() {
    for (option, expected) in [("--strict", 0), ("--strict=host", 3)] {
        let script = format!(
            r#"{NARROW} "$0" sniff -i vb --count {option} 2> "$err" & until_listening; long; sleep 0.3
            kill -TERM $!; wait $!; code=$?; cat "$err" >&2; exit $code"#
        );
        let Some(output) = in_namespace("frames_that_found_no_room", &script) else { return };
        let (code, out, err) = told(output);
        assert_eq!(code, expected, "{option}: {out}{err}");
        let line =
            err.lines().find(|line| line.starts_with("lost before the ring, as far as the host tells: "));
        let line = line.unwrap_or_else(|| panic!("{err}"));
        assert!(line.contains("other end of vb: ") && line.contains(" va tx_dropped"), "{err}");
        assert!(err.contains("wharf: frames were lost before they came to the ring"), "{err}");
    }
}

#[test]
fn a_run_tells_how_it_is_doing() {
    let script = format!(
        r#"{NARROW} "$0" sniff -i vb --count --stats 100ms --stats-format json 2> "$err" & until_listening
        for round in $(seq 8); do long; echo short > /dev/udp/10.9.0.2/9; sleep 0.1; done
        kill -TERM $!; wait $!; code=$?; cat "$err" >&2; exit $code"#
    );
    let Some(output) = in_namespace("a_run_tells_how_it_is_doing", &script) else { return };
    let (code, out, err) = told(output);
    assert_eq!(code, 0, "{out}{err}");
    let lines: Vec<Value> = err
        .lines()
        .filter(|line| line.starts_with('{'))
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert!(lines.len() >= 5, "{err}");
    let sum = |of: fn(&Value) -> &Value| lines.iter().filter_map(|line| of(line).as_u64()).sum::<u64>();
    assert!(sum(|line| &line["packets"]) >= 5, "{err}");
    assert!(sum(|line| &line["before_ring"]["interfaces"][0]["peer"]["frames"]) >= 15, "{err}");
    assert_eq!(sum(|line| &line["dropped"]["kernel_ring_full"]), 0, "{err}");
    assert!(lines.iter().all(|line| line["ring"]["blocks"].as_u64().unwrap() > 1), "{err}");
    assert!(lines.is_sorted_by(|a, b| a["seconds"].as_f64() < b["seconds"].as_f64()), "{err}");
}
