//! Outputs that are slow, and a run that has nothing to do.

use super::capture::{self, record, udp};
use super::{run, told};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;
use tempfile::tempdir;

/// Processor time a process has used, in clock ticks of which there are 100 a second (proc(5), fields 14 and 15 of
/// stat).
fn ticks(child: &Child) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap();
    let (_, fields) = stat.rsplit_once(") ").unwrap();
    fields.split(' ').skip(11).take(2).map(|field| field.parse::<u64>().unwrap()).sum()
}

#[test]
fn an_idle_run_uses_no_processor() {
    let dir = tempdir().unwrap();
    let file = dir.path().join("copy.pcapng").display().to_string();
    for more in [&[][..], &["-w", &file, "--print"], &["--cores", "0", "--json"]] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_wharf"))
            .args(["sniff", "-nr", "-"])
            .args(more)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let packet = [capture::header(1), record(1, &udp(1, 2, 3))].concat();
        child.stdin.as_mut().unwrap().write_all(&packet).unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        assert!(line.contains("10.0.0.1"), "{line}");
        // It runs, and now nothing comes.
        thread::sleep(Duration::from_millis(200));
        let before = ticks(&child);
        thread::sleep(Duration::from_secs(2));
        let used = ticks(&child) - before;
        child.kill().unwrap();
        child.wait().unwrap();
        // Less than 2 % of two seconds, to the tick.
        assert!(used < 4, "{more:?}: {used} ticks of 200");
    }
}

#[test]
fn a_file_loses_nothing_unless_it_is_told_to() {
    let dir = tempdir().unwrap();
    let input = dir.path().join("large.pcap").display().to_string();
    fs::write(&input, capture::large()).unwrap();
    let (code, _, err) = run(["sniff", "-nr", &input, "--strict"]);
    assert_eq!(code, 0, "{err}");
    assert!(err.ends_with("+ 0 filtered out + 0 dropped\n"), "{err}");

    // More than the ring to the output holds, and nobody reads what is printed until all has been read from the file.
    fs::write(&input, capture::pcap((0..60_000).map(|n| udp(40_000, n, 400)))).unwrap();
    let child = Command::new(env!("CARGO_BIN_EXE_wharf"))
        .args(["sniff", "-nvvXr", &input, "--strict", "--when-full", "drop"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    thread::sleep(Duration::from_secs(2));
    let (code, out, err) = told(child.wait_with_output().unwrap());
    assert_eq!(code, 3, "{err}");
    assert!(err.starts_with("60000 received = ") && err.contains(" output ring full)"), "{err}");
    let delivered: usize = err.split(' ').nth(3).and_then(|number| number.parse().ok()).unwrap();
    assert_eq!(out.matches("10.0.0.1.40000 > ").count(), delivered);
}
