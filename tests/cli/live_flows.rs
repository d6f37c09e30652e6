//! `flows`, `follow` and `dns` over a live interface, in a namespace of its own: what is shown while it runs, and at its end.

use super::live::in_namespace;
use super::told;

/// Runs wharf in the background until it listens, then `traffic`, then ends it; its output is printed, then what `traffic` says.
fn while_it_runs(test: &str, command: &str, traffic: &str) -> Option<(i32, String, String)> {
    let script = format!(
        r#"err=$(mktemp); out=$(mktemp); "$0" {command} > "$out" 2> "$err" &
        until grep -q listening "$err"; do kill -0 $! || exit 98; sleep 0.05; done
        {traffic}
        kill -TERM $!; wait $!; code=$?; cat "$err" >&2; cat "$out"; rm "$err" "$out"; exit $code"#
    );
    in_namespace(test, &script).map(told)
}

/// Three datagrams between the same ports. Nobody is there, as ICMP tells; each second one is not sent, as the socket tells that.
const TALK: &str = "exec 3> /dev/udp/127.0.0.1/9; for n in 1 2 3 4 5; do { echo hello >&3; } 2> /dev/null; sleep 0.1; \
                    done; exec 3>&-";

#[test]
fn a_table_meanwhile_and_at_the_end() {
    let traffic = format!(
        "{TALK}; (: < /dev/tcp/127.0.0.1/7) 2> /dev/null; sleep 1.5; echo hello > /dev/udp/127.0.0.1/10; sleep 0.3"
    );
    let Some((code, out, err)) = while_it_runs("a_table_meanwhile", "flows -i lo -n --every 300ms", &traffic)
    else {
        return;
    };
    assert_eq!(code, 0, "{err}");
    let tables: Vec<&str> = out.split("\n\n").collect();
    assert!(tables.len() > 2, "{out}");
    assert!(tables.iter().all(|table| table.starts_with("proto")), "{out}");
    let row = |table: &str, protocol: &str, port: &str| {
        let row = table.lines().find(|line| line.starts_with(protocol) && line.contains(port));
        row.unwrap_or_else(|| panic!("no {port} in\n{table}")).to_owned()
    };
    let last = tables[tables.len() - 1];
    let told = row(last, "udp", "127.0.0.1:9 ");
    assert!(told.contains(" 3     0 ") && told.contains("port unreachable (ICMP, "), "{told}");
    assert!(row(last, "tcp", "127.0.0.1:7 ").contains("refused"), "{last}");
    row(last, "udp", "127.0.0.1:10 ");
    row(tables[tables.len() - 2], "udp", "127.0.0.1:9 ");
    assert!(err.contains(" flow records + 0 without IP"), "{err}");
}

#[test]
fn records_go_out_while_nothing_comes() {
    // The record is there before the end is asked for.
    let traffic = format!("{TALK}; sleep 3; grep -q idle_timeout \"$out\" || kill -KILL $!");
    let command = "flows -i lo --json --idle-timeout 1s 'udp port 9'";
    let Some((code, out, err)) = while_it_runs("records_go_out", command, &traffic) else { return };
    assert_eq!(code, 0, "it waits for another packet: {out}{err}");
    let flow: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&flow["end"], &flow["packets"]), (&"idle_timeout".into(), &serde_json::json!([3, 0])));
}

#[test]
fn what_is_said_is_shown_as_it_is_said() {
    let traffic = format!("{TALK}; sleep 0.5; grep -q hello \"$out\" || kill -KILL $!");
    let Some((code, out, err)) = while_it_runs("what_is_said", "follow -i lo udp port 9", &traffic) else {
        return;
    };
    assert_eq!(code, 0, "only at the end: {out}{err}");
    assert!(out.contains(" to 127.0.0.1:9, ") && out.matches("hello\n").count() == 3, "{out}");
    assert!(err.contains("wharf: followed udp 127.0.0.1:") && err.contains(": 18 bytes, 0 back"), "{err}");
}

#[test]
fn a_question_that_nobody_answers_is_told_in_time() {
    // wharf.test, A.
    let query = r"\0\1\1\0\0\1\0\0\0\0\0\0\5wharf\4test\0\0\1\0\1";
    let traffic = format!(
        "printf '{query}' > /dev/udp/127.0.0.1/53; sleep 3; grep -q unanswered \"$out\" || kill -KILL $!"
    );
    let Some((code, out, err)) = while_it_runs("a_question", "dns -i lo --timeout 1", &traffic) else {
        return;
    };
    assert_eq!(code, 0, "only with the next question: {out}{err}");
    assert!(out.contains("A      wharf.test") && out.contains("unanswered: 1"), "{out}");
    assert!(err.contains("1 questions (and 0 repeats) = 0 answered + 1 unanswered"), "{err}");
}
