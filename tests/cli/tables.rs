//! Tables for people: whole in a pipe, fitted to a terminal.

use super::capture::{self, pcap, udp};
use super::{run, skip};
use std::fs;
use std::process::Command;
use tempfile::tempdir;
use wharf::build::{Ethernet, Ipv4, Stack};

/// What comes to a terminal of that many columns, a line each.
fn on_terminal(test: &str, columns: usize, arguments: &str) -> Option<Vec<String>> {
    let command =
        format!("stty cols {columns} rows 24; exec {} {arguments} 2> /dev/null", env!("CARGO_BIN_EXE_wharf"));
    let output = Command::new("script").args(["-qec", &command, "/dev/null"]).env("TZ", "UTC").output();
    match output {
        Ok(output) if output.status.success() => {
            let text = String::from_utf8(output.stdout).unwrap();
            Some(text.lines().map(|line| line.trim_end_matches('\r').to_owned()).collect())
        }
        other => {
            skip(test, &format!("script: {other:?}"));
            None
        }
    }
}

/// Columns that a line takes: colours take none.
fn width(line: &str) -> usize {
    let (first, rest) = line.split_once('\x1b').unwrap_or((line, ""));
    let behind = |part: &str| part.split_once('m').map_or(0, |(_, text)| text.chars().count());
    first.chars().count() + rest.split('\x1b').map(behind).sum::<usize>()
}

#[test]
fn flows_have_bytes_each_way_and_a_start() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("small.pcap").display().to_string();
    let mut answer = udp(53, 40_000, 8);
    // The other way: it has no checksum but that of the IPv4 header, which stays the same.
    answer[26..34].rotate_left(4);
    fs::write(&path, pcap([udp(40_000, 53, 4), answer, udp(40_000, 53, 0), udp(40_002, 443, 100)])).unwrap();
    let (code, table, err) = run(["flows", "-nr", &path]);
    assert_eq!(code, 0, "{err}");
    let lines: Vec<String> =
        table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    let expected = [
        "proto from to packets back bytes back start time what became of it",
        "udp 10.0.0.1:40000 10.0.0.2:53 2 1 88 50 0.000 2.0 s",
        "udp 10.0.0.1:40002 10.0.0.2:443 1 0 142 0 3.000 0 us no answer",
    ];
    assert_eq!(lines, expected);
    let Some(lines) = on_terminal("flows_have_bytes", 60, &format!("flows -nr {path}")) else { return };
    assert!(lines.iter().all(|line| width(line) <= 60), "{lines:#?}");
    assert!(lines[1].starts_with("udp    10.0.0.1:40000  10.0.0.2:53 "), "{lines:#?}");
}

/// Later fragments have no ports, and nobody is to answer them.
#[test]
fn fragments_have_no_ports() {
    let mut stack = Stack::new();
    let later = Ipv4::new([10, 0, 0, 1], [10, 0, 0, 2]).fragment(24, false).protocol(17);
    stack.message(&[7; 16]).wrap(later).wrap(Ethernet::new([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]));
    let dir = tempdir().unwrap();
    let path = dir.path().join("later.pcap").display().to_string();
    fs::write(&path, pcap([stack.bytes().to_vec()])).unwrap();
    let (_, table, _) = run(["flows", "-nr", &path]);
    let row: Vec<&str> = table.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!(row[..3], ["udp", "10.0.0.1", "10.0.0.2"], "{table}");
    assert!(table.contains("fragments") && !table.contains("no answer"), "{table}");
    let (_, json, _) = run(["flows", "-nr", &path, "--json"]);
    let flow: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert!(flow["sport"].is_null() && flow["dport"].is_null(), "{json}");
    let (_, csv, _) = run(["flows", "-nr", &path, "--csv"]);
    assert!(csv.lines().nth(1).unwrap().starts_with("udp,10.0.0.1,,10.0.0.2,,"), "{csv}");
}

/// Whoever reads no more has some of the records: how many is told.
#[test]
fn records_that_nobody_took_are_counted() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("large.pcap").display().to_string();
    fs::write(&path, capture::large()).unwrap();
    for cores in ["0", "0,1"] {
        let script = r#""$0" flows -nr "$1" --csv --cores $2 | head -c 10"#;
        let output = Command::new("sh")
            .args(["-c", script, env!("CARGO_BIN_EXE_wharf"), &path, cores])
            .output()
            .unwrap();
        let err = String::from_utf8(output.stderr).unwrap();
        if cores == "0,1" && err.contains("CPU") {
            return skip("records_that_nobody_took", &err);
        }
        let line = err.lines().find(|line| line.contains(" written + ")).unwrap_or_else(|| panic!("{err}"));
        let numbers: Vec<u64> = line.split(' ').filter_map(|word| word.parse().ok()).collect();
        let [all, written, not] = numbers[..] else { panic!("{line}") };
        assert_eq!((all, not > 0), (written + not, true), "{line}");
        assert!(err.contains(&format!(" in {all} flow records ")), "{err}");
    }
}

#[test]
fn lookups_fit_a_terminal() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("dns.pcap").display().to_string();
    fs::write(&path, super::dns::file()).unwrap();
    let Some(lines) = on_terminal("lookups_fit", 80, &format!("dns -nr {path}")) else { return };
    assert!(lines.iter().all(|line| width(line) <= 80), "{lines:#?}");
    assert_eq!(lines[1], "2023-11-14");
}

#[test]
fn the_demo_fits_a_terminal() {
    let whole = run(["demo", "--offline"]).1;
    let Some(lines) = on_terminal("the_demo_fits", 80, "demo --offline") else { return };
    assert!(lines.iter().all(|line| width(line) <= 80), "{:#?}", lines.iter().filter(|l| width(l) > 80));
    assert!(whole.lines().any(|line| line.chars().count() > 80));
    assert!(
        lines.iter().any(|line| line.ends_with("computed none") || line.contains("window")),
        "{lines:#?}"
    );
}
