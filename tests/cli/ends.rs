//! How a run ends before its input does: a closed pipe, a signal, two signals.

use super::capture::{self, record, udp};
use super::run;
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use tempfile::tempdir;

fn spawn(program: &str, arguments: &[&str]) -> Child {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().unwrap()
}

/// `wharf sniff -r -` with more arguments, and one packet printed: it runs, and waits for more.
fn running(more: &[&str]) -> (Child, BufReader<std::process::ChildStdout>) {
    let mut child = spawn(env!("CARGO_BIN_EXE_wharf"), &[&["sniff", "-nr", "-"], more].concat());
    let reader = feed(&mut child);
    (child, reader)
}

/// Hands over the beginning of a capture and waits until its one packet is printed.
fn feed(child: &mut Child) -> BufReader<std::process::ChildStdout> {
    let bytes = [capture::header(1), record(1, &udp(1, 2, 3))].concat();
    child.stdin.as_mut().unwrap().write_all(&bytes).unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    lines.read_line(&mut line).unwrap();
    assert!(line.contains("10.0.0.1.1 > 10.0.0.2.2: "), "{line}");
    lines
}

fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

/// Waits, but not for ever, with standard input still open.
fn ended(child: &mut Child) -> (ExitStatus, String) {
    let deadline = Instant::now() + Duration::from_secs(20);
    let status = loop {
        match child.try_wait().unwrap() {
            Some(status) => break status,
            None if Instant::now() > deadline => {
                child.kill().unwrap();
                panic!("still running");
            }
            None => std::thread::sleep(Duration::from_millis(5)),
        }
    };
    let mut err = String::new();
    child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
    (status, err)
}

#[test]
fn a_pipe_still_being_written_is_printed_as_it_comes() {
    let (mut child, mut lines) = running(&[]);
    let mut line = String::new();
    child.stdin.as_mut().unwrap().write_all(&record(2, &udp(3, 4, 5))).unwrap();
    lines.read_line(&mut line).unwrap();
    assert!(line.contains("10.0.0.1.3 > 10.0.0.2.4: "), "{line}");
    drop(child.stdin.take());
    let (status, err) = ended(&mut child);
    assert!(status.success(), "{err}");
    assert_eq!(err, "2 received = 2 delivered + 0 filtered out + 0 dropped\n");
}

#[test]
fn signals_end_the_run_in_good_order() {
    for kind in [Signal::INT, Signal::TERM, Signal::HUP] {
        let dir = tempdir().unwrap();
        let file = dir.path().join("out.pcapng").display().to_string();
        let (mut child, _lines) = running(&["-w", &file, "--print"]);
        signal(&child, kind);
        let (status, err) = ended(&mut child);
        assert_eq!(status.code(), Some(0), "{kind:?}: {err}");
        assert_eq!(err, "1 received = 1 delivered + 0 filtered out + 0 dropped\n");
        let (code, out, err) = run(["sniff", "-nr", &file]);
        assert_eq!((code, out.lines().count()), (0, 1), "{err}");
    }
}

#[test]
fn an_ignored_signal_stays_ignored() {
    let script = "trap '' HUP; exec \"$0\" sniff -nr -";
    let mut child = spawn("sh", &["-c", script, env!("CARGO_BIN_EXE_wharf")]);
    let mut lines = feed(&mut child);
    signal(&child, Signal::HUP);
    std::thread::sleep(Duration::from_millis(200));
    child.stdin.as_mut().unwrap().write_all(&record(2, &udp(3, 4, 5))).unwrap();
    let mut line = String::new();
    lines.read_line(&mut line).unwrap();
    assert!(line.contains("10.0.0.2.4"), "{line}");
    signal(&child, Signal::TERM);
    assert_eq!(ended(&mut child).0.code(), Some(0));
}

#[test]
fn the_second_signal_ends_at_once() {
    let dir = tempdir().unwrap();
    let file = dir.path().join("large.pcap").display().to_string();
    fs::write(&file, capture::large()).unwrap();
    // Nobody reads its standard output: the first signal is not seen while a write blocks.
    let mut child = spawn(env!("CARGO_BIN_EXE_wharf"), &["sniff", "-nvvXr", &file]);
    // Where it stands once the pipe is full.
    let pipe = child.stdout.as_ref().unwrap();
    let full = rustix::pipe::fcntl_getpipe_size(pipe).unwrap() as u64 - 4096;
    let deadline = Instant::now() + Duration::from_secs(20);
    while rustix::io::ioctl_fionread(pipe).unwrap() < full {
        assert!(Instant::now() < deadline, "the pipe is not filled");
        std::thread::sleep(Duration::from_millis(5));
    }
    signal(&child, Signal::INT);
    std::thread::sleep(Duration::from_millis(300));
    assert!(child.try_wait().unwrap().is_none(), "it waits for its reader");
    signal(&child, Signal::INT);
    assert_eq!(ended(&mut child).0.signal(), Some(Signal::INT.as_raw()));
}

#[test]
fn a_closed_pipe_ends_the_run_quietly() {
    let dir = tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).display().to_string();
    fs::write(path("large.pcap"), capture::large()).unwrap();
    for more in [&["-n"][..], &["--json"], &["-n", "--print", "-w", &path("copy.pcapng")]] {
        let from = path("large.pcap");
        let mut child = spawn(env!("CARGO_BIN_EXE_wharf"), &[&["sniff", "-r", &from], more].concat());
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert!(!line.is_empty());
        let (status, err) = ended(&mut child);
        assert_eq!(status.code(), Some(0), "{more:?}: {err}");
        assert!(err.contains(" received = ") && !err.contains("wharf: "), "{more:?}: {err}");
    }
    let (code, out, err) = run(["sniff", "-r", &path("copy.pcapng"), "-n"]);
    assert_eq!(code, 0, "the file is complete: {err}");
    assert!(out.lines().count() >= 256);
}

/// A pipe that is not standard output is a file like another: what it does not take is lost.
#[test]
fn a_pipe_that_breaks_elsewhere_is_a_failure() {
    let dir = tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).display().to_string();
    fs::write(path("large.pcap"), capture::large()).unwrap();
    let made = Command::new("mkfifo").arg(path("fifo")).status().unwrap();
    assert!(made.success());
    let to_file = format!("udp/9999={}", path("u.pcap"));
    for arguments in [
        &["sniff", "-r", &path("large.pcap"), "-w", &path("fifo"), "--strict"][..],
        &["sniff", "-r", &path("large.pcap"), "-w", &path("fifo"), "--write-queue", "64k"],
        &["split", "-r", &path("large.pcap"), "--rest", &path("fifo"), "--to", &to_file, "--strict"],
    ] {
        let mut child = spawn(env!("CARGO_BIN_EXE_wharf"), arguments);
        // It can be opened for writing once somebody reads, who then goes.
        let mut reader = fs::File::open(path("fifo")).unwrap();
        reader.read_exact(&mut [0; 4]).unwrap();
        drop(reader);
        let (status, err) = ended(&mut child);
        assert_eq!(status.code(), Some(1), "{arguments:?}: {err}");
        let last = err.lines().last().unwrap_or_default();
        assert!(last.starts_with("wharf: ") && last.contains("fifo: Broken pipe"), "{arguments:?}: {err}");
    }
    // Standard output by another name is still that.
    let script = "\"$0\" sniff -r \"$1\" -w /dev/stdout | head -c 24 > /dev/null; exit ${PIPESTATUS[0]}";
    let arguments = ["-c", script, env!("CARGO_BIN_EXE_wharf"), &path("large.pcap")];
    let (status, err) = ended(&mut spawn("bash", &arguments));
    assert_eq!(status.code(), Some(0), "{err}");
}

#[test]
fn a_closed_pipe_is_no_failure_of_tables_and_help_either() {
    for arguments in [
        &["interfaces"][..],
        &["demo", "--offline"],
        &["man"],
        &["completions", "bash"],
        &["sniff", "--help"],
    ] {
        let mut child = spawn(env!("CARGO_BIN_EXE_wharf"), arguments);
        drop(child.stdout.take());
        let (status, err) = ended(&mut child);
        assert_eq!((status.code(), err.as_str()), (Some(0), ""), "{arguments:?}");
    }
}
