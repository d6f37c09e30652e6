//! Interfaces and namespaces that go away while they are captured: what had come is in the file, and one line says what happened.

use super::live::in_namespace;
use super::told;

/// Captures with these words before and behind `sniff`'s own into `$d/a.pcapng`; `$pid` listens then.
const CAPTURE: &str = r#"
    d=$(mktemp -d); : > "$d/err"
    capture() { "$0" sniff "$@" -Q in -w "$d/a.pcapng" 2> "$d/err" & pid=$!
        until grep -q listening "$d/err"; do kill -0 $pid || exit 99; sleep 0.05; done; }
    gen() { "$0" gen -i va --count "$1" --rate 10k > "$d/gen" 2>&1 || cat "$d/gen" >&2; }
    show() { wait $pid; code=$?; cat "$d/err" >&2; "$0" sniff -nr "$d/a.pcapng" 2> /dev/null | wc -l; rm -r "$d"; exit $code; }
"#;

/// Exit code 1, a ledger without losses, and one line that names the interface; `packets` are in the file.
fn check((code, out, err): (i32, String, String), packets: &str, failure: &str) {
    assert_eq!((code, out.lines().last()), (1, Some(packets)), "{out}{err}");
    let lines: Vec<_> = err.lines().filter(|line| line.starts_with("wharf: ")).collect();
    assert!(lines.len() == 2 && lines[0].starts_with("wharf: listening on ") && lines[1] == failure, "{err}");
    let ledger = err.lines().find(|line| line.contains(" received = ")).unwrap_or_default();
    assert!(ledger.ends_with(" + 0 dropped"), "{err}");
}

#[test]
fn an_interface_that_is_removed_ends_the_run_with_a_whole_file() {
    let script = format!(
        r#"{CAPTURE} ip link add va type veth peer name vb; ip link set va addrgenmode none up; ip link set vb addrgenmode none up
        capture -i vb; gen 500; ip link del va; show"#
    );
    let Some(output) = in_namespace("an_interface_that_is_removed", &script) else { return };
    let (code, out, err) = told(output);
    assert!(err.contains("\nlost before the ring, as far as the host tells: unknown: vb is gone\n"), "{err}");
    assert!(!err.contains("its counters"), "told once: {err}");
    check((code, out, err), "500", "wharf: vb: the interface is gone");
}

/// The namespace loses its last process: it lives on with the capture in it, until its wire goes.
#[test]
fn a_namespace_that_is_left_lives_until_its_wire_goes() {
    let script = format!(
        r#"{CAPTURE} unshare -n sleep 50 & far=$!
        until [ "$(readlink /proc/$far/ns/net)" != "$(readlink /proc/$$/ns/net)" ]; do sleep 0.05; done
        ip link add va type veth peer name vb netns $far; ip link set va addrgenmode none up
        nsenter -t $far -n ip link set vb addrgenmode none up
        capture --netns $far -i vb; gen 300; kill $far; wait $far 2> /dev/null; sleep 0.5
        kill -0 $pid && echo lives; gen 200; ip link del va; show"#
    );
    let Some(output) = in_namespace("a_namespace_that_is_left", &script) else { return };
    let (code, out, err) = told(output);
    assert!(out.starts_with("lives\n"), "{out}{err}");
    check((code, out, err), "500", "wharf: vb: the interface is gone");
}
