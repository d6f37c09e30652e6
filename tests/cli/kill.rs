//! What SIGKILL leaves of a file that is being written.

use super::capture::{self, udp};
use super::live::in_namespace;
use super::{oracles, run, told};
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};
use tempfile::tempdir;

/// `EXT4_SUPER_MAGIC` of linux/magic.h.
const EXT4: i64 = 0xef53;

/// `wharf sniff -r - -w FILE`, fed for as long as it lives. Packets have all lengths, so that records end anywhere.
fn writing(file: &str, more: &[&str]) -> Child {
    let arguments = [&["sniff", "-r", "-", "-w", file], more].concat();
    let mut command = Command::new(env!("CARGO_BIN_EXE_wharf"));
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    thread::spawn(move || {
        let records: Vec<u8> = (0..2000).flat_map(|n| capture::record(1, &udp(1, 2, n % 1400))).collect();
        let _ = input.write_all(&capture::header(1));
        while input.write_all(&records).is_ok() {}
    });
    child
}

/// Waits until something has been written, and a while longer.
fn let_run(file: &str, longer: Duration) {
    let begun = Instant::now();
    while fs::metadata(file).map_or(0, |metadata| metadata.len()) < 1 << 20 {
        assert!(begun.elapsed() < Duration::from_secs(20), "nothing is written");
        thread::sleep(Duration::from_millis(1));
    }
    thread::sleep(longer);
}

/// Stops every thread where it leaves the kernel: a write that has begun is finished, which SIGKILL would not grant it.
fn stop(child: &Child) {
    kill_process(Pid::from_child(child), Signal::STOP).unwrap();
    let stopped = |thread: fs::DirEntry| {
        let stat = fs::read_to_string(thread.path().join("stat")).unwrap();
        stat.rsplit_once(") ").unwrap().1.starts_with('T')
    };
    let tasks = format!("/proc/{}/task", child.id());
    while !fs::read_dir(&tasks).unwrap().all(|thread| stopped(thread.unwrap())) {
        thread::sleep(Duration::from_micros(100));
    }
}

/// What other programs say of the file, those that there are.
fn others_complain(file: &str) -> Option<String> {
    for program in ["capinfos", "tshark"] {
        let arguments: &[&str] = if program == "capinfos" { &["-c", file] } else { &["-c", "5", "-r", file] };
        let Ok(output) = Command::new(program).args(arguments).output() else {
            oracles::missing(&format!("no {program}"));
            continue;
        };
        let said = String::from_utf8_lossy(&output.stderr);
        if !output.status.success() || said.contains("cut short") {
            return Some(format!("{program}: {said}"));
        }
    }
    None
}

#[test]
fn a_writer_killed_between_two_writes_leaves_a_file_that_reads_to_its_end() {
    let dir = tempdir().unwrap();
    for (round, more) in
        [&[][..], &["--write-queue", "4m"], &["-C", "3"], &["-U"]].iter().cycle().take(12).enumerate()
    {
        let name = if round % 3 == 0 { "a.pcap" } else { "a.pcapng" };
        let file = dir.path().join(name).display().to_string();
        let _ = fs::remove_file(&file);
        let mut child = writing(&file, more);
        let_run(&file, Duration::from_millis(5 * round as u64));
        stop(&child);
        child.kill().unwrap();
        child.wait().unwrap();
        for file in fs::read_dir(dir.path()).unwrap().map(|file| file.unwrap().path().display().to_string()) {
            if fs::metadata(&file).unwrap().len() > 0 {
                let (code, out, err) = run(["sniff", "--count", "-r", &file]);
                assert_eq!(code, 0, "{more:?} {file}: {out}{err}");
                assert_eq!(others_complain(&file), None, "{more:?} {file}");
            }
            fs::remove_file(&file).unwrap();
        }
    }
}

/// The kernel copies a write into the page cache page by page, and looks for SIGKILL in between (`generic_perform_write`
/// of mm/filemap.c): a record may be cut, but only where a page ends, and all before it reads.
#[test]
fn a_write_that_is_killed_is_cut_at_a_page_and_the_reader_says_where() {
    let dir = tempdir().unwrap();
    let (mut whole, mut cut) = (0, 0);
    // Whether one is hit is chance: some rounds, and more of them until one is.
    for round in 0..200_u64 {
        if cut > 2 || cut > 0 && round >= 12 {
            break;
        }
        let file = dir.path().join("a.pcapng").display().to_string();
        let _ = fs::remove_file(&file);
        let mut child = writing(&file, &[]);
        let_run(&file, Duration::from_micros(3100 * (round % 12)));
        child.kill().unwrap();
        child.wait().unwrap();
        let (code, out, err) = run(["sniff", "-nr", &file]);
        if code == 0 {
            whole += 1;
            continue;
        }
        cut += 1;
        assert_eq!(code, 1, "{err}");
        assert_eq!(fs::metadata(Path::new(&file)).unwrap().len() % 4096, 0, "{err}");
        let lines = out.lines().count();
        assert!(err.contains(&format!("after {lines} packets: the file ends here")), "{lines} {err}");
        assert_eq!(packets_by_tshark(&file).unwrap_or(lines), lines, "{err}");
    }
    // Whether a write is hit is chance; the line says how often it was.
    eprintln!("killed {} times: {whole} files whole, {cut} cut within a write", whole + cut);
}

/// How many packets tshark prints of a file, cut or not; `None`, aloud, where there is no tshark.
fn packets_by_tshark(file: &str) -> Option<usize> {
    match Command::new("tshark").args(["-n", "-T", "fields", "-e", "frame.number", "-r", file]).output() {
        Ok(output) => Some(String::from_utf8_lossy(&output.stdout).lines().count()),
        Err(error) => {
            oracles::missing(&format!("tshark: {error}"));
            None
        }
    }
}

/// A live capture asks for room ahead of what it writes: that stays with the file, and nobody who reads it sees it.
#[test]
fn a_live_capture_that_is_killed_leaves_what_it_had_written() {
    let script = r#"ip link add va type veth peer name vb; ip link set va up; ip link set vb up; : > err
        "$0" sniff -i vb -w a.pcapng 2> err & pid=$!
        until grep -q listening err; do kill -0 $pid || exit 99; sleep 0.05; done
        "$0" gen -i va --size 60-1514 --rate 50k --duration 20s > gen 2>&1 & gen=$!
        until [ "$(stat -c %s a.pcapng)" -gt 3000000 ]; do kill -0 $gen || exit 98; sleep 0.01; done
        kill -KILL $pid; kill $gen; wait; stat -c '%s %b' a.pcapng"#;
    let dir = tempdir().unwrap();
    let script = format!("cd {}\n{script}", dir.path().display());
    let Some(output) = in_namespace("a_live_capture_that_is_killed", &script) else { return };
    let (code, out, err) = told(output);
    assert_eq!(code, 0, "{out}{err}");
    let sizes: Vec<u64> = out.split_whitespace().map(|size| size.parse().unwrap()).collect();
    let file = dir.path().join("a.pcapng");
    let kind = rustix::fs::statfs(&file).unwrap().f_type;
    // As ext4 has it; others may have no room to give ahead.
    if kind == EXT4 {
        assert!(sizes[1] * 512 > sizes[0] + 4096, "nothing was asked for ahead: {sizes:?}");
    }
    let file = file.display().to_string();
    let (code, out, err) = run(["sniff", "-nr", &file]);
    let lines = out.lines().count();
    assert!(lines > 1_000, "{lines}: {err}");
    let cut = err.contains(&format!("after {lines} packets: the file ends here"));
    assert!(
        if code == 0 { sizes[0] > 0 } else { code == 1 && cut && sizes[0].is_multiple_of(4096) },
        "{sizes:?}: {err}"
    );
    assert_eq!(packets_by_tshark(&file).unwrap_or(lines), lines, "{err}");
}
