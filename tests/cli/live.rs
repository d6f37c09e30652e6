//! A live interface from the command line, in a namespace of its own.

use super::{skip, told};
use std::process::{Command, Output};

/// Runs a bash script with `$0` = wharf in a new user and network namespace whose loopback is up.
pub(super) fn in_namespace(test: &str, script: &str) -> Option<Output> {
    let script = format!("ip link set lo up || exit 99\n{script}");
    let wharf = env!("CARGO_BIN_EXE_wharf");
    let arguments = ["60", "unshare", "-Urn", "bash", "-c", &script, wharf];
    match Command::new("timeout").args(arguments).output() {
        Ok(output) if output.status.code() != Some(99) && !output.stderr.starts_with(b"unshare:") => {
            Some(output)
        }
        Ok(output) => {
            skip(test, &String::from_utf8_lossy(&output.stderr));
            None
        }
        Err(error) => {
            skip(test, &format!("timeout: {error}"));
            None
        }
    }
}

/// Waits until wharf listens, then sends datagrams to a port.
const SEND: &str = r#"
    until grep -q listening "$err"; do sleep 0.05; done
    send() { for n in $(seq "$1"); do echo hello > /dev/udp/127.0.0.1/"$2"; done; }
"#;

#[test]
fn packets_off_the_wire_until_the_limit() {
    let script = format!(
        r#"err=$(mktemp); "$0" sniff -i lo -n -c 4 --strict 2> "$err" & {SEND}
        until ! kill -0 $! 2> /dev/null; do send 1 9; sleep 0.05; done; wait $!; code=$?; cat "$err" >&2; rm "$err"; exit $code"#
    );
    let Some(output) = in_namespace("packets_off_the_wire_until_the_limit", &script) else { return };
    let (code, out, err) = told(output);
    assert_eq!((code, out.lines().count()), (0, 4), "{out}{err}");
    assert!(out.contains("127.0.0.1.9: UDP, length 6"), "{out}");
    assert!(err.starts_with("wharf: listening on lo, link type ETHERNET"), "{err}");
    assert!(err.contains(" received = 4 delivered + 0 filtered out + "), "{err}");
}

/// As tcpdump does: -v beside -w tells every second how it is going.
#[test]
fn verbose_beside_a_file_tells_how_the_capture_is_doing() {
    let script = r#"cd "$(mktemp -d)"; "$0" sniff -i lo -nv -w a.pcapng 2> err & pid=$!
        for n in $(seq 200); do grep -q packets/s err && break; sleep 0.05; done; kill -TERM $pid; wait $pid; cat err"#;
    let Some(output) = in_namespace("verbose_beside_a_file", script) else { return };
    let (_, out, err) = told(output);
    assert!(out.contains(" packets/s  ") && out.contains("ring   0 %"), "{out}{err}");
}

#[test]
fn split_until_interrupted() {
    let script = format!(
        r#"err=$(mktemp); cd "$(mktemp -d)"; "$0" split -i lo --to udp/9=nine.pcapng --to udp/53=dns.pcap --rest rest.pcapng 2> "$err" & {SEND}
        send 20 9; send 30 53; sleep 0.3; kill -TERM $!; wait $!; code=$?; cat "$err" >&2
        for file in nine.pcapng dns.pcap; do "$0" sniff -r $file -n 2> /dev/null | grep -c 'UDP\|domain'; done; exit $code"#
    );
    let Some(output) = in_namespace("split_until_interrupted", &script) else { return };
    let (code, out, err) = told(output);
    assert_eq!(code, 0, "{out}{err}");
    assert!(err.contains("\n  udp/9   20 received = 20 delivered"), "{err}");
    assert!(err.contains("\n  udp/53  30 received = 30 delivered"), "{err}");
    assert!(out.starts_with("20\n"), "{out}{err}");
}

#[test]
fn without_permission_the_remedy_is_named() {
    // A user namespace alone: all rights inside it, none over the network it came from.
    let output =
        Command::new("unshare").args(["-U", env!("CARGO_BIN_EXE_wharf"), "sniff", "-i", "lo"]).output();
    let output = match output {
        Ok(output) if !output.stderr.starts_with(b"unshare:") => output,
        Ok(output) => return skip("without_permission", &String::from_utf8_lossy(&output.stderr)),
        Err(error) => return skip("without_permission", &format!("unshare: {error}")),
    };
    let (code, out, err) = told(output);
    assert_eq!((code, out.as_str()), (1, ""), "{err}");
    assert!(err.starts_with("wharf: lo: ") && err.contains("setcap cap_net_raw"), "{err}");
    assert_eq!(err.lines().count(), 1, "{err}");
}

#[test]
fn a_process_that_was_stopped_accounts_for_all_that_came_meanwhile() {
    // What comes while it stands still waits in the ring, which holds it; what did not fit would be counted.
    let script = format!(
        r#"err=$(mktemp); "$0" sniff -i lo --count --ports udp/9 --ring 8M 2> "$err" & {SEND}
        kill -STOP $!; send 500 9; sleep 5; send 1 9; kill -CONT $!; sleep 0.5; kill -TERM $!; wait $!; code=$?; cat "$err" >&2; rm "$err"; exit $code"#
    );
    let Some(output) = in_namespace("a_process_that_was_stopped", &script) else { return };
    let (code, out, err) = told(output);
    assert_eq!(code, 0, "{out}{err}");
    assert!(err.contains("\n501 received = 501 delivered + 0 filtered out + 0 dropped\n"), "{err}");
    assert!(
        err.contains("\nring: 8 MiB, at most ") && err.contains("chosen in the kernel by ports"),
        "{err}"
    );
}

/// Each block takes its place in the ring when its time is over, however little is in it: 64 of them bridged 3.2 s. And when
/// the process goes on, nearly empty blocks come to the output all at once.
#[test]
fn five_seconds_of_little_traffic_are_bridged() {
    let script = r#"ip link add va type veth peer name vb; ip link set va up; ip link set vb up; d=$(mktemp -d)
        "$0" sniff -i vb -w "$d/out" 2> "$d/log" & pid=$!
        until grep -q listening "$d/log"; do kill -0 $pid || exit 99; sleep 0.05; done
        "$0" gen -i va --count 1400 --rate 200 --size 64 2> /dev/null & gen=$!
        sleep 1; kill -STOP $pid; sleep 5.2; kill -CONT $pid; wait $gen; sleep 0.5
        kill -TERM $pid; wait; cat "$d/log" >&2; rm -r "$d""#;
    let Some(output) = in_namespace("five_seconds_of_little_traffic_are_bridged", script) else { return };
    let (_, out, err) = told(output);
    // What the kernel itself sends (IPv6) comes besides.
    let ledger = err.lines().find(|line| line.contains(" received = ")).unwrap_or_default();
    let received = ledger.split(' ').next().and_then(|number| number.parse::<u64>().ok());
    assert!(received.is_some_and(|packets| packets >= 1400), "{out}{err}");
    assert!(ledger.ends_with(" + 0 dropped"), "{out}{err}");
}

#[test]
fn several_interfaces_in_another_network_namespace() {
    let script = r#"
        d=$(mktemp -d); mkfifo "$d/go" "$d/end"; : > "$d/err"
        unshare -n bash -c '
            ip link set lo up; ip link add v0 type veth peer name v1; ip link set v0 up; ip link set v1 up
            echo $BASHPID > "$0/pid"; read < "$0/go"
            for n in 1 2 3 4 5 6 7; do echo hello > /dev/udp/127.0.0.1/9; done; read < "$0/end"' "$d" &
        other=$!; until [ -s "$d/pid" ]; do sleep 0.05; done
        "$0" sniff --netns "$(cat "$d/pid")" -i lo -i v0 -n 2> "$d/err" > "$d/out" &
        wharf=$!; until grep -q 'listening on v0' "$d/err" || ! kill -0 $wharf; do sleep 0.05; done
        echo > "$d/go"; sleep 1; kill -TERM $wharf; wait $wharf; code=$?; cat "$d/err" >&2
        grep -c '127.0.0.1.9: UDP' "$d/out"; echo > "$d/end"; wait $other; rm -r "$d"; exit $code"#;
    let Some(output) = in_namespace("several_interfaces_in_another_network_namespace", script) else {
        return;
    };
    let (code, out, err) = told(output);
    assert_eq!((code, out.as_str()), (0, "7\n"), "{err}");
    assert!(err.starts_with("wharf: listening on lo, ") && err.contains("\nrings: 2 of "), "{err}");
}

#[test]
fn what_is_no_namespace_and_what_is_no_choice_is_refused_with_reasons() {
    for (arguments, code, reason) in [
        ("--netns nowhere -i lo", 1, "--netns nowhere: /run/netns/nowhere: No such file or directory"),
        (
            "--netns /dev/null -i lo",
            1,
            "cannot enter it: Invalid argument (os error 22) (it is no network namespace)",
        ),
        ("-i lo -i lo", 2, "lo: named twice"),
        ("-i lo -i any", 2, "any stands for all interfaces"),
        ("-i lo --fanout hash", 2, "--cores"),
        (
            "-i lo --cores 0 --fanout flows",
            2,
            "not a way to spread packets: hash, ports, cpu, queue, rr or random",
        ),
        (
            "-i lo -j adapter_unsynced",
            1,
            "lo: no time stamps of type adapter_unsynced: the device stamps no frames that it receives",
        ),
        ("-i lo -j device", 2, "not a type of time stamps: host, host_lowprec, host_hiprec, adapter or"),
        ("-r x.pcap -j host", 2, "cannot be used with"),
        ("-i lo --ring 0", 2, "not above 0: give a size such as 64k, 256M or 1g"),
        ("-i lo --ring 1M -B 4", 2, "cannot be used with"),
    ] {
        let script = format!(r#""$0" sniff {arguments}"#);
        let Some(output) = in_namespace("what_is_no_namespace", &script) else { return };
        let (found, out, err) = told(output);
        assert_eq!((found, out.as_str()), (code, ""), "{arguments}: {err}");
        assert!(err.contains(reason) && err.lines().count() == 1, "{arguments}: {err}");
    }
}

#[test]
fn time_stamp_types_are_listed_as_tcpdump_does_and_files_are_as_fine_as_asked() {
    let script = format!(
        r#""$0" sniff -J -i lo || exit 1; err=$(mktemp); file=$err.pcap
        for fine in micro nano; do : > "$err"
            "$0" sniff -i lo -c 1 -j host_hiprec --time-stamp-precision $fine -w "$file" 2> "$err" & {SEND}
            until ! kill -0 $! 2> /dev/null; do send 1 9; sleep 0.05; done; wait $! || cat "$err" >&2
            od -A n -t x4 -N 4 "$file"
        done; rm "$err" "$file""#
    );
    let test = "time_stamp_types_are_listed_as_tcpdump_does_and_files_are_as_fine_as_asked";
    let Some(output) = in_namespace(test, &script) else { return };
    let (code, out, err) = told(output);
    let listed = "Time stamp types for lo (use option -j to set):\n  host (Host)\n  host_hiprec (Host, high precision)\n";
    assert_eq!((code, out.as_str()), (0, format!("{listed} a1b2c3d4\n a1b23c4d\n").as_str()), "{err}");
}

/// Of frames captured on all interfaces the header has a number only; several that are named have no header that tells them
/// apart.
#[test]
fn each_packet_tells_its_interface_where_it_can_be_one_of_several() {
    let script = format!(
        r#"ip link add va type veth peer name vb; ip link set va up; ip link set vb up; err=$(mktemp)
        for arguments in "-i any -t" "-i any -e -t" "-i any --json" "-i lo -i va -t"; do : > "$err"
            "$0" sniff $arguments -n -c 1 udp port 9 2> "$err" & {SEND}
            until ! kill -0 $! 2> /dev/null; do send 1 9; sleep 0.05; done; wait $! || cat "$err" >&2
        done; rm "$err""#
    );
    let Some(output) = in_namespace("each_packet_tells_its_interface", &script) else { return };
    let (code, out, err) = told(output);
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!((code, lines.len()), (0, 4), "{out}{err}");
    let [all, with_header, json, named] = lines[..] else { unreachable!() };
    assert!(
        all.starts_with("lo    Out IP 127.0.0.1.") || all.starts_with("lo     In IP 127.0.0.1."),
        "{out}"
    );
    assert!(with_header.starts_with("lo    ") && with_header.contains("ifindex 1 "), "{out}");
    assert!(json.contains(r#""interface":"lo","#), "{out}");
    assert!(named.starts_with("lo    IP 127.0.0.1."), "{out}");
}

#[test]
fn what_is_not_as_it_was_asked_for_is_said() {
    let script = r#"timeout --foreground 0.3 "$0" sniff -i lo --ring 64k -s 300000 --count; true"#;
    let Some(output) = in_namespace("what_is_not_as_it_was_asked_for_is_said", script) else { return };
    let (code, out, err) = told(output);
    assert_eq!(code, 0, "{out}{err}");
    assert!(
        err.starts_with("wharf: a ring of 64 KiB is less than two blocks: it is raised to 256 KiB\n"),
        "{err}"
    );
    assert!(err.contains("wharf: -s 300000: 262144 bytes are the most, and all of any packet\n"), "{err}");
    assert!(err.contains("\nring: 256 KiB, at most "), "{err}");
}

/// It signals its child, and then the group that the child is in.
#[test]
fn timeout_ends_a_capture_in_good_order() {
    let script = r#"ip link add va type veth peer name vb; ip link set va up; ip link set vb up; d=$(mktemp -d)
        "$0" gen -i vb --rate 2k --duration 20s > "$d/gen" 2>&1 & gen=$!
        for round in 1 2 3 4 5 6 7 8 9 10; do
            timeout 0.7 "$0" sniff -i va -w "$d/out.pcapng" 2> "$d/err"; grep -c ' received = ' "$d/err"
            "$0" sniff -r "$d/out.pcapng" --count > "$d/count" 2>&1 || cat "$d/count"
        done; kill $gen; rm -r "$d""#;
    let Some(output) = in_namespace("timeout_ends_a_capture_in_good_order", script) else { return };
    let (code, out, err) = told(output);
    assert_eq!((code, out.as_str()), (0, "1\n".repeat(10).as_str()), "{err}");
}
