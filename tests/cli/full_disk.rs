//! A disk that is full, behind the queue that stands before one: a file system of its own in a loop device, as root.

use super::{capture, skip, told};
use std::fs;
use std::path::Path;
use std::process::Command;
use tempfile::tempdir;

/// `$1` is a directory: 4 MiB of ext4 are mounted there in a namespace of its own. Then a run, as bash has it behind `run`,
/// and what is in its files.
const DISK: &str = r#"
    cd "$1" && truncate -s 4M disk && mkfs.ext4 -q -O ^has_journal disk && mkdir mount || exit 99
    mount -o loop disk mount || exit 99
    read_back() { for file in mount/*.pcap*; do "$0" sniff -nr $file 2> read || exit 98; done | grep -c ' IP '; }
"#;

/// Runs the script as root, with network and mounts of its own.
fn on_small_disk(test: &str, script: &str, dir: &Path) -> Option<(i32, String, String)> {
    if !rustix::process::geteuid().is_root() {
        skip(test, "needs root");
        return None;
    }
    let script = format!("{DISK}{script}");
    let arguments = ["60", "unshare", "-mn", "bash", "-c", &script, env!("CARGO_BIN_EXE_wharf")];
    match Command::new("timeout").args(arguments).arg(dir).output() {
        Ok(output) if output.status.code() != Some(99) && !output.stderr.starts_with(b"unshare:") => {
            Some(told(output))
        }
        other => {
            skip(test, &format!("{other:?}"));
            None
        }
    }
}

/// It failed for want of room, and as many packets are in the files as the ledger says.
fn check((code, out, err): (i32, String, String)) {
    assert_eq!(code, 1, "{out}{err}");
    let last = err.lines().last().unwrap_or_default();
    assert!(last.contains(".pcap") && last.contains(": No space left on device"), "{err}");
    let ledger = err.lines().find(|line| line.contains(" received = ")).unwrap_or_default();
    let words: Vec<&str> = ledger.split(' ').collect();
    let [received, delivered] = [0, 3].map(|place| words[place].parse::<u64>().unwrap());
    assert_eq!(out.trim(), delivered.to_string(), "{err}");
    assert!(delivered > 1_000 && delivered < received && ledger.contains(" output failed"), "{err}");
}

#[test]
fn what_a_queue_could_not_write_is_told() {
    let dir = tempdir().unwrap();
    fs::write(dir.path().join("from.pcap"), capture::large()).unwrap();
    for (number, options) in [
        "-w mount/a.pcapng --write-queue 1m",
        "-w mount/a.pcap --write-queue 64k",
        "-w mount/a.pcapng -C 1 --write-queue 1m",
    ]
    .into_iter()
    .enumerate()
    {
        let script = format!(r#""$0" sniff -r ../from.pcap {options}; code=$?; read_back; exit $code"#);
        let place = dir.path().join(number.to_string());
        fs::create_dir(&place).unwrap();
        let Some(run) = on_small_disk("what_a_queue_could_not_write_is_told", &script, &place) else {
            return;
        };
        check(run);
    }
}

#[test]
fn a_live_capture_whose_disk_is_full_says_what_it_has() {
    let dir = tempdir().unwrap();
    let script = r#"
        ip link add va type veth peer name vb; ip link set va addrgenmode none up; ip link set vb addrgenmode none up
        "$0" sniff -i vb -w mount/a.pcapng 2> err & pid=$!
        until grep -q listening err; do kill -0 $pid || exit 97; sleep 0.05; done
        "$0" gen -i va --size 1400 --rate 20k --count 20k > gen 2>&1; wait $pid; code=$?
        cat err >&2; read_back; exit $code"#;
    let Some(run) = on_small_disk("a_live_capture_whose_disk_is_full", script, dir.path()) else { return };
    check(run);
}

/// Every record is in the file, or counted as not written; and the file ends with a whole message.
#[test]
fn flow_records_that_found_no_room_are_counted() {
    let dir = tempdir().unwrap();
    fs::write(dir.path().join("from.pcap"), capture::large()).unwrap();
    for cores in ["0", "0,1"] {
        let script = format!(
            r#"head -c 3M /dev/zero > mount/zero
            "$0" flows -nr ../from.pcap --cores {cores} --ipfix mount/f.ipfix > /dev/null; code=$?; cp mount/f.ipfix ../copy; exit $code"#
        );
        let place = dir.path().join(cores);
        fs::create_dir(&place).unwrap();
        let Some((code, _, err)) = on_small_disk("flow_records_that_found_no_room", &script, &place) else {
            return;
        };
        assert_eq!(code, 1, "{err}");
        let number = |before: &str, after: &str| -> u64 {
            let line =
                err.lines().find(|line| line.contains(after)).unwrap_or_else(|| panic!("{after}: {err}"));
            let text = line.split(after).next().unwrap();
            text.rsplit(before).next().unwrap().trim().parse().unwrap_or_else(|_| panic!("{line}"))
        };
        let all = number(" in ", " flow records");
        let (sent, not) = (number("ipfix: ", " records sent"), number(", ", " not written"));
        assert!(sent > 0 && not > 0 && sent + not == all, "{err}");
        assert!(err.contains(" not written; last error: No space left on device"), "{err}");
        let (bytes, mut at) = (fs::read(dir.path().join("copy")).unwrap(), 0);
        while at < bytes.len() {
            at += usize::from(u16::from_be_bytes([bytes[at + 2], bytes[at + 3]]));
        }
        assert_eq!(at, bytes.len(), "a message is cut");
    }
}
