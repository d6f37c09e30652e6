//! `-Z`: root's rights are given up, in every thread, once the input is open.

use super::capture::{self, udp};
use super::{run, skip, told};
use std::fs;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};
use tempfile::{TempDir, tempdir};
use wharf::sys::privileges::User;

fn is_root(test: &str) -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        skip(test, "needs root");
    }
    root
}

/// A directory that the user may write to.
fn directory_of(user: &User) -> TempDir {
    let dir = tempdir().unwrap();
    std::os::unix::fs::chown(dir.path(), Some(user.uid), Some(user.gid)).unwrap();
    dir
}

/// Of each thread of a process: its status.
fn statuses(process: u32) -> Vec<String> {
    let tasks = fs::read_dir(format!("/proc/{process}/task")).unwrap();
    tasks.map(|task| fs::read_to_string(task.unwrap().path().join("status")).unwrap()).collect()
}

fn field<'s>(status: &'s str, name: &str) -> Vec<&'s str> {
    let line = status.lines().find(|line| line.split(':').next() == Some(name)).unwrap();
    line.split_whitespace().skip(1).collect()
}

/// Nothing of root's is left in any thread.
fn check_threads(process: u32, user: &User) -> usize {
    let statuses = statuses(process);
    for status in &statuses {
        assert_eq!(field(status, "Uid"), vec![user.uid.to_string(); 4], "{status}");
        assert_eq!(field(status, "Gid"), vec![user.gid.to_string(); 4], "{status}");
        assert_eq!(field(status, "Groups"), [user.gid.to_string()], "{status}");
        for set in ["CapPrm", "CapEff", "CapAmb", "CapInh"] {
            assert_eq!(field(status, set), ["0000000000000000"], "{status}");
        }
    }
    statuses.len()
}

#[test]
fn every_thread_goes_on_as_the_user_and_rotation_works() {
    if !is_root("every_thread_goes_on_as_the_user_and_rotation_works") {
        return;
    }
    let user = User::named("nobody").unwrap();
    let dir = directory_of(&user);
    let file = dir.path().join("a.pcapng").display().to_string();
    // With something left to be inherited, which a change of user does not take.
    let mut command = Command::new("setpriv");
    command.args(["--inh-caps=+net_raw", env!("CARGO_BIN_EXE_wharf")]);
    let cores = fs::read_to_string("/proc/self/status").unwrap();
    let core = field(&cores, "Cpus_allowed_list")[0].split([',', '-']).next().unwrap().to_owned();
    command.args(["sniff", "-r", "-", "-w", &file, "-Z", "nobody", "--file-packets", "10", "-U"]);
    command.args(["--write-queue", "1m", "--cores", &core]);
    let mut child = command.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(&capture::header(1)).unwrap();
    let begun = Instant::now();
    let mut sent = 0;
    while !dir.path().join("a.pcapng2").exists() {
        assert!(begun.elapsed() < Duration::from_secs(20), "no files");
        input.write_all(&capture::record(1, &udp(1, 2, 3))).unwrap();
        sent += 1;
        thread::sleep(Duration::from_millis(1));
    }
    // The main one, the run, a worker, the output, the writer.
    let threads = check_threads(child.id(), &user);
    assert!(threads >= 5, "{threads}");
    for _ in 0..20 {
        input.write_all(&capture::record(1, &udp(1, 2, 3))).unwrap();
    }
    drop(input);
    let (code, _, err) = told(child.wait_with_output().unwrap());
    assert_eq!(code, 0, "{err}");
    let mut packets = 0;
    for file in fs::read_dir(dir.path()).unwrap().map(|file| file.unwrap().path()) {
        let metadata = fs::metadata(&file).unwrap();
        assert_eq!((metadata.uid(), metadata.gid()), (user.uid, user.gid), "{}", file.display());
        packets += run(["sniff", "-nr", &file.display().to_string()]).1.lines().count();
    }
    assert_eq!(packets, sent + 20);
}

#[test]
fn a_live_capture_goes_on_without_root() {
    let test = "a_live_capture_goes_on_without_root";
    if is_root(test) {
        // As containers of older versions of Docker have it: a thread that begins before the change of user inherits them too.
        for inherited in ["-all", "+net_raw,+net_admin"] {
            live_without_root(test, inherited);
        }
    }
}

fn live_without_root(test: &str, inherited: &str) {
    let user = User::named("nobody").unwrap();
    let dir = directory_of(&user);
    let script = r#"ip link set lo up || exit 99; cd "$1"; err=$(mktemp)
        "$0" sniff -i lo -w a.pcapng --file-packets 8 -Z nobody 2> "$err" &
        until grep -q listening "$err"; do sleep 0.05; done
        for n in $(seq 20); do echo hello > /dev/udp/127.0.0.1/9; done; sleep 0.5
        grep -h '^Uid\|^Cap[EI]' /proc/$!/task/*/status | sort -u
        kill -TERM $!; wait $!; code=$?; cat "$err" >&2; rm "$err"; exit $code"#;
    let inherited = format!("--inh-caps={inherited}");
    let arguments = ["60", "unshare", "-n", "setpriv", &inherited, "bash", "-c", script];
    let mut command = Command::new("timeout");
    command.args(arguments).arg(env!("CARGO_BIN_EXE_wharf")).arg(dir.path());
    let output = match command.output() {
        Ok(output) if output.status.code() != Some(99) && !output.stderr.starts_with(b"unshare:") => output,
        other => return skip(test, &format!("{other:?}")),
    };
    let (code, out, err) = told(output);
    assert_eq!(code, 0, "{inherited}: {out}{err}");
    let uid = user.uid;
    let none = "0000000000000000";
    let expected = format!("CapEff:\t{none}\nCapInh:\t{none}\nUid:\t{uid}\t{uid}\t{uid}\t{uid}\n");
    assert_eq!(out, expected, "{err}");
    let mut packets = 0;
    for file in fs::read_dir(dir.path()).unwrap().map(|file| file.unwrap().path()) {
        assert_eq!(fs::metadata(&file).unwrap().uid(), uid, "{}", file.display());
        packets += run(["sniff", "-nr", &file.display().to_string()])
            .1
            .lines()
            .filter(|l| l.contains("UDP"))
            .count();
    }
    assert_eq!(packets, 20, "{err}");
}

#[test]
fn a_ring_is_raised_after_root_is_given_up() {
    let test = "a_ring_is_raised_after_root_is_given_up";
    if !is_root(test) {
        return;
    }
    let user = User::named("nobody").unwrap();
    let dir = directory_of(&user);
    // While nobody reads, more comes than the first ring holds.
    let script = r#"ip link add va type veth peer name vb && ip link set va up && ip link set vb up || exit 99
        cd "$1"; err=$(mktemp)
        "$0" sniff -i vb -Q in -w a.pcapng -Z nobody --stats 20ms --stats-format json 2> "$err" &
        until grep -q listening "$err"; do sleep 0.05; done
        sleep 0.2; kill -STOP $!; "$0" gen -i va --count 100k --size 1400 || exit 98; kill -CONT $!; sleep 1
        "$0" gen -i va --count 50 --rate 100 || exit 98; sleep 0.5
        kill -TERM $!; wait $!; code=$?; cat "$err"; rm "$err"; exit $code"#;
    let arguments = ["60", "unshare", "-n", "bash", "-c", script, env!("CARGO_BIN_EXE_wharf")];
    let output = match Command::new("timeout").args(arguments).arg(dir.path()).output() {
        Ok(output) if output.status.code() != Some(99) && !output.stderr.starts_with(b"unshare:") => output,
        other => return skip(test, &format!("{other:?}")),
    };
    let (code, out, err) = told(output);
    assert_eq!(code, 0, "{out}{err}");
    // It is told when it happens, by a line of its own and with the figures, and once more in the summary.
    let told_at = |what: &str| out.find(what).unwrap_or_else(|| panic!("{what}: {out}"));
    assert!(told_at("\nwharf: vb: raised from ") < told_at(" received = "), "{out}");
    assert!(told_at("\nvb: raised from ") > told_at(" received = "), "{out}");
    let lines = out.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let raised: Vec<_> = lines.map(|line| line["ring"]["raised"].as_u64().unwrap()).collect();
    assert!(raised.is_sorted() && raised.first() == Some(&0) && raised.last() == Some(&1), "{raised:?}");
    // And what the first ring lost is in the file.
    let file = dir.path().join("a.pcapng").display().to_string();
    let (_, read, told) = run(["sniff", "-nr", &file, "--json"]);
    let lost_before = |line: &str| {
        let packet: serde_json::Value = serde_json::from_str(line).unwrap();
        packet["lost_before"].as_u64().unwrap_or(0)
    };
    let lost: u64 = read.lines().map(lost_before).sum();
    assert!(lost > 0 && out.contains(&format!("dropped ({lost} kernel ring full)")), "{lost}: {out}");
    assert!(told.contains(&format!("the file says that {lost} packets were lost")), "{told}");
}

fn refused(arguments: &[&str], directory: &Path, as_user: Option<u32>) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wharf"));
    command.args(arguments).current_dir(directory).stdin(Stdio::null());
    if let Some(uid) = as_user {
        command.uid(uid);
    }
    let (code, out, err) = told(command.output().unwrap());
    assert_eq!((code, out.as_str(), err.lines().count()), (1, "", 1), "{err}");
    assert!(!directory.join("a.pcapng").exists(), "{err}");
    err
}

#[test]
fn what_cannot_be_is_said_before_a_file_is_created() {
    let dir = tempdir().unwrap();
    fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    fs::write(dir.path().join("in.pcap"), capture::small()).unwrap();
    let arguments = |user| ["sniff", "-r", "in.pcap", "-w", "a.pcapng", "-Z", user];
    let err = refused(&arguments("no-such-user"), dir.path(), None);
    assert_eq!(err, "wharf: -Z: there is no user 'no-such-user'\n");
    let root = rustix::process::geteuid().is_root();
    let err = refused(&arguments("nobody"), dir.path(), root.then_some(65_534));
    assert!(err.starts_with("wharf: -Z: only root can go on as another user ('nobody')"), "{err}");
    if is_root("a directory that the user may not write to") {
        let err = refused(&arguments("nobody"), dir.path(), None);
        assert!(err.starts_with("wharf: as user 'nobody' (-Z): a.pcapng: Permission denied"), "{err}");
        // The first file of a rotation by time is created with the first packet: none comes here.
        let empty = capture::pcap([]);
        fs::write(dir.path().join("empty.pcap"), empty).unwrap();
        let arguments = ["sniff", "-r", "empty.pcap", "-G", "9", "-w", "b-%s", "-Z", "nobody"];
        let err = refused(&arguments, dir.path(), None);
        assert!(
            err.starts_with("wharf: as user 'nobody' (-Z): b-") && err.contains("Permission denied"),
            "{err}"
        );
    }
}
