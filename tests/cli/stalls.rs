//! Readers of the output that stop reading, and a process that is stopped: the capture goes on, and what it loses is told.

use super::live::in_namespace;
use super::{skip, told};
use std::process::Command;

/// A veth pair; `listens` waits until wharf, with that process number, captures.
const WIRE: &str = r#"
    ip link add va type veth peer name vb; ip link set va up; ip link set vb up; d=$(mktemp -d); : > "$d/err"
    listens() { until grep -q listening "$d/err"; do kill -0 "$1" || exit 99; sleep 0.05; done; }
    gen() { "$0" gen -i va --count "$1" --rate "$2" --size "$3" > "$d/gen" 2>&1 || cat "$d/gen" >&2; }
"#;

/// The numbers of the line that sums up: received, delivered, dropped.
fn ledger(err: &str) -> [u64; 3] {
    let line = err.lines().find(|line| line.contains(" received = ")).unwrap_or_default();
    let words: Vec<&str> = line.split(' ').collect();
    [0, 3, 10]
        .map(|place| words.get(place).and_then(|word| word.parse().ok()).unwrap_or_else(|| panic!("{err}")))
}

/// More comes meanwhile than there is memory for before an output. The reader then gets the file whole, with the gap told
/// in it.
#[test]
fn a_pipe_whose_reader_pauses_costs_packets_that_are_told_and_nothing_hangs() {
    let script = format!(
        r#"{WIRE} mkfifo "$d/pipe" "$d/go"
        (exec 3< "$d/pipe"; head -c 24 <&3; read < "$d/go"; exec cat <&3) > "$d/copy" & reader=$!
        "$0" sniff -i vb --ring 8M -U -w "$d/pipe" 2> "$d/err" & pid=$!; listens $pid
        gen 250000 60k 1400; kill -0 $pid || echo "it has ended"; echo > "$d/go"; sleep 0.5
        kill -TERM $pid; wait $pid; code=$?; wait $reader; cat "$d/err" >&2
        "$0" sniff -r "$d/copy" --count --json 2> "$d/read" | grep -o '"packets": *[0-9]*' | head -1 | grep -o '[0-9]*'
        grep -o 'the file says that .*' "$d/read"; rm -r "$d"; exit $code"#
    );
    let Some(output) = in_namespace("a_pipe_whose_reader_pauses", &script) else { return };
    let (code, out, err) = told(output);
    assert_eq!(code, 0, "{out}{err}");
    let [received, delivered, dropped] = ledger(&err);
    assert!(received >= 250_000 && dropped > 0 && received == delivered + dropped, "{err}");
    let mut lines = out.lines();
    assert_eq!(lines.next(), Some(delivered.to_string().as_str()), "{out}{err}");
    assert_eq!(
        lines.next(),
        Some(format!("the file says that {dropped} packets were lost while it was written").as_str()),
        "{out}{err}"
    );
}

/// The first signal lets it finish, which it cannot; the second ends it at once.
#[test]
fn a_pipe_whose_reader_never_comes_back_can_be_left() {
    let script = format!(
        r#"{WIRE} mkfifo "$d/pipe"
        (exec 3< "$d/pipe"; head -c 24 <&3 > /dev/null; exec sleep 50) & reader=$!
        "$0" sniff -i vb -U -w "$d/pipe" 2> "$d/err" & pid=$!; listens $pid
        gen 2000 20k 1400; kill -TERM $pid; sleep 1; kill -0 $pid && echo waits; kill -TERM $pid; wait $pid; code=$?
        kill $reader; cat "$d/err" >&2; rm -r "$d"; exit $code"#
    );
    let Some(output) = in_namespace("a_pipe_whose_reader_never_comes_back", &script) else { return };
    let (code, out, err) = told(output);
    assert_eq!((code, out.as_str()), (128 + 15, "waits\n"), "{err}");
}

/// First the terminal is not read for a while, then the process itself stands still (and script(1) with it).
#[test]
fn a_terminal_and_a_process_that_stand_still_cost_nothing_that_memory_can_hold() {
    if Command::new("script").arg("--version").output().is_err() {
        return skip("a_terminal_that_stands_still", "no script(1) here");
    }
    let script = format!(
        r#"{WIRE} export wharf="$0" d
        script -q -f -c 'echo $$ > "$d/pid"; exec "$wharf" sniff -i vb -n 2> "$d/err"' "$d/terminal" > /dev/null < /dev/null &
        until [ -s "$d/pid" ]; do sleep 0.05; done; pid=$(cat "$d/pid"); listens $pid; terminal=$(ps -o ppid= -p $pid)
        test -t 0 < /proc/$pid/fd/1 || echo "no terminal"
        kill -STOP $terminal; gen 3000 3k 100; kill -0 $pid || echo "it has ended"; kill -CONT $terminal
        kill -STOP $pid; gen 3000 3k 100; kill -CONT $pid $terminal; sleep 1; kill -TERM $pid; wait
        grep -c '^[0-9][0-9]:[0-9][0-9]:' "$d/terminal"; cat "$d/err" >&2; rm -r "$d""#
    );
    let Some(output) = in_namespace("a_terminal_that_stands_still", &script) else { return };
    let (code, out, err) = told(output);
    let [received, delivered, dropped] = ledger(&err);
    assert!(received >= 6_000 && delivered == received && dropped == 0, "{err}");
    assert_eq!((code, out), (0, format!("{received}\n")), "{err}");
}
