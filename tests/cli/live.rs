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
