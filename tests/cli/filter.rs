//! Filter expressions: explained, tried, and before every source.

use super::capture::{self, small, udp};
use super::live::in_namespace;
use super::{run, told, wharf};
use serde_json::Value;
use std::fs;
use tempfile::{TempDir, tempdir};

/// A directory with `small.pcap` in it, and that file's path.
fn with_small() -> (TempDir, String) {
    let dir = tempdir().unwrap();
    let path = dir.path().join("small.pcap");
    fs::write(&path, small()).unwrap();
    let path = path.display().to_string();
    (dir, path)
}

#[test]
fn a_meaning_in_words_and_a_program() {
    let (code, out, err) = run(["filter", "tcp port 80 or 443"]);
    let words = "any of:\n  TCP from or to port 80\n  TCP from or to port 443\non ETHERNET: ";
    assert!(code == 0 && err.is_empty() && out.starts_with(words), "{out}{err}");

    // As `tcpdump -d -y RAW tcp` prints it.
    let (code, out, _) = run(["filter", "-d", "-y", "RAW", "ip and", "tcp"]);
    assert_eq!(code, 0);
    assert_eq!(
        out,
        "(000) ldb      [0]\n(001) and      #0xf0\n(002) jeq      #0x40            jt 3\tjf 6\n\
         (003) ldb      [9]\n(004) jeq      #0x6             jt 5\tjf 6\n(005) ret      #262144\n(006) ret      #0\n"
    );
    assert_eq!(run(["filter", "--dump", "ip and", "tcp", "-y", "RAW"]), (0, out, String::new()));
    let (_, out, _) = run(["filter", "-ddd", "-s", "96", "arp"]);
    assert_eq!(out, "4\n40 0 0 12\n21 0 1 2054\n6 0 0 96\n6 0 0 0\n");

    let (code, out, _) = run(["filter", "--json", "arp"]);
    let account: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &account["meaning"][0], &account["program"][1][3]), (0, &"ARP".into(), &2054.into()));
}

#[test]
fn both_executions_are_tried_on_a_capture() {
    let (_dir, path) = with_small();
    let (code, out, err) = run(["filter", "-r", &path, "udp and not port 443"]);
    assert_eq!(code, 0, "{err}");
    assert!(out.ends_with("3 of 5 packets match\n3 of 5 match in BPF: the two agree\n"), "{out}");
    let (_, out, _) = run(["filter", "-r", &path, "--json", "arp"]);
    let account: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&account["capture"]["matched"], &account["capture"]["compared"]), (&1.into(), &5.into()));
}

#[test]
fn a_fault_is_shown_at_its_place() {
    let (_dir, path) = with_small();
    for arguments in [&["filter"][..], &["sniff", "-r", &path], &["gen", "--dry-run", "-r", &path]] {
        let (code, out, err) = run(arguments.iter().copied().chain(["tcp", "prot", "80"]));
        assert_eq!((code, out.as_str()), (2, ""), "{err}");
        let told = "wharf: filter expression, column 5: expected `and`, `or` or the end, found `prot` (did you mean `port`?)\n    \
                    tcp prot 80\n        ^^^^\n";
        assert_eq!(err, told);
    }
    // Only the file tells that it has no meaning there.
    let (code, _, err) = run(["sniff", "-r", &path, "tcp or type mgt"]);
    assert!(
        code == 2 && err.contains("column 8") && err.ends_with("\n           ^^^^^^^^\n"),
        "{code} {err}"
    );
    let (code, _, err) = run(["split", "-r", &path, "--to", "tcp prot 80=x.pcap"]);
    assert!(code == 2 && err.contains("column 5: expected `and`"), "{err}");
    let (code, _, err) = run(["filter"]);
    assert!(code == 2 && err.contains("which expression?"), "{err}");
    let (code, _, err) = run(["gen", "--dry-run", "tcp"]);
    assert!(code == 2 && err.contains("give one with -r"), "{err}");
}

#[test]
fn bytes_that_are_no_text_are_refused() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let mut command = wharf(["filter"]);
    command.arg(OsStr::from_bytes(b"tcp \xff"));
    let (code, _, err) = told(command.output().unwrap());
    assert!(code == 2 && err.contains("not UTF-8"), "{err}");
}

#[test]
fn what_does_not_match_is_in_the_account() {
    let (dir, path) = with_small();
    let (code, out, err) = run(["sniff", "-nr", &path, "udp", "port", "53", "and", "src", "10.0.0.1"]);
    assert_eq!((code, out.lines().count()), (0, 3), "{err}");
    assert_eq!(err, "5 received = 3 delivered + 2 filtered out + 0 dropped\n");
    // From a file, with comments, on several lines; on two workers.
    let filter = dir.path().join("filter");
    fs::write(&filter, "# who asks?\nudp\n  and dst port 53 # names\n").unwrap();
    let filter = filter.display().to_string();
    let (code, out, err) = run(["sniff", "-nr", &path, "-F", &filter, "--cores", "0,1"]);
    assert_eq!((code, out.lines().count()), (0, 2), "{err}");
    let (code, _, err) = run(["sniff", "-r", &path, "-F", &filter, "tcp"]);
    assert!(code == 2 && err.contains("cannot be used with"), "{err}");
}

/// What `tcpdump -ddd` prints, in lines or behind commas, is no expression and is taken for what it is.
#[test]
fn a_file_may_have_a_program() {
    let (dir, path) = with_small();
    let file = dir.path().join("program").display().to_string();
    let (_, numbers, _) = run(["filter", "-ddd", "udp dst port 53"]);
    for text in [numbers.clone(), format!("# who asks?\n{numbers}"), numbers.trim().replace('\n', ",")] {
        fs::write(&file, text).unwrap();
        let (code, out, err) = run(["sniff", "-nr", &path, "-F", &file]);
        assert_eq!((code, out.lines().count()), (0, 2), "{err}");
        let (code, out, err) = run(["filter", "-F", &file, "-r", &path]);
        assert_eq!((code, err.as_str()), (0, ""), "{out}");
        assert!(out.ends_with("instructions wants\n2 of 5 packets match\n"), "{out}");
        let (_, out, _) = run(["filter", "-F", &file, "-ddd"]);
        assert_eq!(out, numbers);
    }
    for (text, told) in [
        ("2\n6 0 0 1\n", "2 instructions announced, 1 there"),
        ("2\n6 0 0 1\n6 0 0\n", "line 3: an instruction is four numbers"),
        ("1\n40 0 0 12\n", "does not end"),
    ] {
        fs::write(&file, text).unwrap();
        let (code, _, err) = run(["sniff", "-nr", &path, "-F", &file]);
        assert!(code == 2 && err.contains("the BPF program: ") && err.contains(told), "{code} {err}");
    }
    fs::write(&file, "1\n+ 1 = 2 and arp").unwrap();
    let (code, out, err) = run(["sniff", "-nr", &path, "-F", &file]);
    assert_eq!((code, out.lines().count()), (0, 1), "{err}");
}

/// Another machine may know it.
#[test]
fn a_name_that_is_not_known_here_is_a_failure_and_no_bad_usage() {
    let (_dir, path) = with_small();
    for (expression, expected) in [
        ("port nosuch", 1),
        ("ether host nosuch", 1),
        ("ip proto nosuch", 1),
        ("ether proto nosuch", 2),
        ("prot 80", 2),
    ] {
        let (code, out, err) = run(["sniff", "-nr", &path, expression]);
        assert_eq!((code, out.as_str()), (expected, ""), "{expression}: {err}");
        assert!(err.starts_with("wharf: filter expression, column "), "{expression}: {err}");
    }
}

#[test]
fn a_limit_is_one_of_packets_that_match() {
    let (dir, path) = with_small();
    let large = dir.path().join("large.pcap").display().to_string();
    fs::write(&large, capture::pcap((0..5_000).map(|n| udp(40_000, n % 100, 4)))).unwrap();
    for cores in [&[][..], &["--cores", "0,1"]] {
        let arguments = ["sniff", "-nr", &large, "-c", "7", "port 5"];
        let (code, out, err) = run(arguments.into_iter().chain(cores.iter().copied()));
        assert_eq!((code, out.lines().count()), (0, 7), "{err}");
        assert!(out.lines().all(|line| line.contains("10.0.0.2.5: ")), "{out}");
        // Nothing behind the last of them counts, though it was read.
        assert_eq!(err, "606 received = 7 delivered + 599 filtered out + 0 dropped\n");
    }
    let (code, out, _) = run(["sniff", "-r", &path, "-c", "1", "--count", "--json", "arp"]);
    let table: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &table["packets"]), (0, &1.into()));
}

#[test]
fn rules_may_be_filters() {
    let (dir, path) = with_small();
    let file = |name: &str| dir.path().join(name).display().to_string();
    let (code, _, err) = run([
        "split",
        "-r",
        &path,
        "--to",
        &format!("udp[2:2] = 443 and net 10={}", file("tls.pcap")),
        "--to",
        &format!("any/53={}", file("dns=all.pcap")),
        "--to",
        &format!("udp={}", file("udp.pcap")),
        "--rest",
        &file("rest.pcap"),
        "not src port 40001",
    ]);
    assert_eq!(code, 0, "{err}");
    assert!(err.starts_with("5 received = 4 delivered + 1 filtered out + 0 dropped\n"), "{err}");
    for (rule, packets) in [("udp[2:2] = 443 and net 10 ", 1), ("any/53 ", 2), ("udp ", 0), ("rest ", 1)] {
        let line = err.lines().find(|line| line.trim_start().starts_with(rule)).expect(rule);
        assert!(line.contains(&format!(" {packets} received = {packets} delivered")), "{rule}: {line}");
    }
    assert!(dir.path().join("dns=all.pcap").exists());
}

#[test]
fn what_is_sent_again_may_be_chosen() {
    let (dir, path) = with_small();
    let made = dir.path().join("made.pcap").display().to_string();
    let (code, _, err) = run(["gen", "-r", &path, "-w", &made, "--flat-out", "not", "udp", "port", "53"]);
    assert_eq!(code, 0, "{err}");
    let (_, out, _) = run(["sniff", "-nr", &made]);
    assert_eq!(out.lines().count(), 2, "{out}");
}

/// The kernel leaves out the others: they are not even counted.
#[test]
fn a_live_capture_is_filtered_in_the_kernel() {
    let script = r#"
        err=$(mktemp); out=$(mktemp); "$0" sniff -i lo -n udp dst port 9 and host 127.0.0.1 > "$out" 2> "$err" &
        until grep -q listening "$err"; do sleep 0.05; done
        for n in 1 2 3 4 5; do echo hello > /dev/udp/127.0.0.1/53; echo hello > /dev/udp/127.0.0.1/9; done
        sleep 0.5; kill -TERM $!; wait $!; code=$?; cat "$err" >&2; cat "$out"; rm "$err" "$out"; exit $code"#;
    let Some(output) = in_namespace("a_live_capture_is_filtered_in_the_kernel", script) else { return };
    let (code, out, err) = told(output);
    assert_eq!((code, out.lines().count()), (0, 5), "{out}{err}");
    assert!(out.lines().all(|line| line.contains("127.0.0.1.9: UDP")), "{out}");
    assert!(err.contains("\n5 received = 5 delivered + 0 filtered out + 0 dropped\n"), "{err}");
    assert!(err.contains("chosen in the kernel, others are not counted: udp dst port 9"), "{err}");
}

/// The interface knows its network; a file does not.
#[test]
fn broadcasts_are_those_of_the_interfaces_network() {
    let script = r#"
        ip link add v0 type veth peer name v1; ip address add 10.1.2.3/20 dev v1; ip link set v0 up; ip link set v1 up
        for expression in 'ip broadcast' 'not ip broadcast and udp'; do
            err=$(mktemp); out=$(mktemp); "$0" sniff -i v1 -n $expression > "$out" 2> "$err" &
            until grep -q listening "$err"; do sleep 0.05; done
            for to in 10.1.15.255 10.1.2.255 10.1.0.0 255.255.255.255; do
                "$0" gen -i v0 --destination "$to" --count 1 --size 64 --protocol udp > /dev/null 2>&1 || exit 98
            done
            sleep 0.3; kill -TERM $!; wait $! || exit 1
            sed 's/.* > \([0-9.]*\)\.[0-9]*: .*/\1/' "$out" | tr '\n' ' '; echo; cat "$err" >&2
        done
        cd "$(mktemp -d)"; "$0" split -i v1 -c 4 --to 'ip broadcast=all.pcap' --rest one.pcap udp 2> err &
        until grep -q listening err; do sleep 0.05; done
        for to in 10.1.15.255 10.1.2.255 10.1.0.0 255.255.255.255; do
            "$0" gen -i v0 --destination "$to" --count 1 --size 64 --protocol udp > /dev/null 2>&1 || exit 98
        done
        wait $! || exit 1
        for file in all.pcap one.pcap; do "$0" sniff -nr $file 2> /dev/null | grep -c UDP; done"#;
    let Some(output) = in_namespace("broadcasts_are_those_of_the_interfaces_network", script) else { return };
    let (code, out, err) = told(output);
    let seen = "10.1.15.255 10.1.0.0 255.255.255.255 \n10.1.2.255 \n3\n1\n";
    assert_eq!((code, out.as_str()), (0, seen), "{err}");
    assert!(err.contains("chosen in the kernel, others are not counted: ip broadcast"), "{err}");
    let (_dir, path) = with_small();
    let (code, _, err) = run(["sniff", "-r", &path, "ip broadcast"]);
    assert!(code == 2 && err.contains("the mask of the network is not known"), "{err}");
}

/// Nothing would ever match, which is not what anybody can have meant; told before an output is created over what was there.
#[test]
fn what_has_no_meaning_is_refused() {
    let (dir, path) = with_small();
    let file = |name: &str| dir.path().join(name).display().to_string();
    let (code, _, err) = run(["sniff", "-r", &path, "-w", &file("small.pcapng")]);
    assert_eq!(code, 0, "{err}");
    fs::write(file("kept"), "precious").unwrap();
    // What a pcapng file's link types are is known only on the way.
    for input in [&path, &file("small.pcapng")] {
        let to = format!("ip broadcast={}", file("kept"));
        for arguments in [
            &["sniff", "-r", input, "-w", &file("kept"), "ip broadcast"][..],
            &["sniff", "-r", input, "wlan type mgt"],
            &["split", "-r", input, "--to", &to],
            &["flows", "-r", input, "ip broadcast"],
            &["dns", "-r", input, "ip broadcast"],
            &["follow", "-r", input, "ip broadcast"],
            &["split", "-r", input, "--to", &format!("wlan type mgt={}", file("none.pcap"))],
        ] {
            let (code, _, err) = run(arguments.iter().copied());
            assert!(code == 2 && err.contains("column 1: "), "{arguments:?}: {code} {err}");
        }
    }
    assert_eq!(fs::read_to_string(file("kept")).unwrap(), "precious");
}

/// A program of somebody else's goes to the kernel as it is; one for which that has no memory is asked here, and it is said.
#[test]
fn programs_go_to_the_kernel_unless_it_has_no_memory() {
    let script = r#"
        try() {
            err=$(mktemp); out=$(mktemp); "$0" sniff -i lo -n "$@" > "$out" 2> "$err" &
            until grep -q listening "$err"; do sleep 0.05; done
            for n in 1 2 3 4 5; do echo hello > /dev/udp/127.0.0.1/53; echo hello > /dev/udp/127.0.0.1/9; done
            sleep 0.5; kill -TERM $!; wait $! || exit 1
            echo "$(grep -c '127.0.0.1.9: UDP' "$out") $(wc -l < "$out")"; cat "$err" >&2
        }
        file=$(mktemp); "$0" filter -ddd udp dst port 9 > "$file"; try -F "$file"
        echo 4000 > /proc/sys/net/core/optmem_max || exit 99
        try udp dst port 9; try "udp dst port 9 or $(for n in $(seq 100); do echo "host 10.0.$n.1 or"; done) arp""#;
    let Some(output) = in_namespace("programs_go_to_the_kernel_unless_it_has_no_memory", script) else {
        return;
    };
    let (code, out, err) = told(output);
    assert_eq!((code, out.as_str()), (0, "5 5\n5 5\n5 5\n"), "{err}");
    let runs: Vec<_> = err.split("listening on").skip(1).collect();
    assert!(runs[0].contains("lo: chosen in the kernel, others are not counted: "), "{err}");
    assert!(runs[0].contains("\n5 received = 5 delivered + 0 filtered out"), "{err}");
    assert!(runs[1].contains("\n5 received = 5 delivered + 0 filtered out"), "{err}");
    assert!(runs[2].contains("lo: not chosen in the kernel: there is no memory for a program of"), "{err}");
    assert!(runs[2].contains("(net.core.optmem_max)") && runs[2].contains(" = 5 delivered + "), "{err}");
    assert!(!runs[2].contains("+ 0 filtered out"), "{err}");
}

/// The kernel keeps a tag beside the frame: a live capture answers as the file written of it would.
#[test]
fn tags_beside_the_frame_are_where_a_file_has_them() {
    let script = r#"
        ip link add v0 type veth peer name v1; ip link set v0 up; ip link set v1 up
        for expression in 'vlan 100 and udp' 'udp' 'vlan 5' 'vlan 5 or vlan 100' 'vlan and len = 64' 'not vlan and udp' \
            'vlan and ether[12:2] = 0x8100'; do
            err=$(mktemp); out=$(mktemp); "$0" sniff -i v1 --count --json $expression > "$out" 2> "$err" &
            until grep -q listening "$err"; do sleep 0.05; done
            "$0" gen -i v0 --vlan 100 --count 50 --size 64 --protocol udp --rate 5000 > /dev/null 2>&1
            sleep 0.3; kill -TERM $!; wait $! || exit 1
            echo "$(grep -o '"packets":[0-9]*' "$out" | head -n 1) $(grep -c 'chosen in the kernel' "$err")"
        done"#;
    let Some(output) = in_namespace("tags_beside_the_frame_are_where_a_file_has_them", script) else {
        return;
    };
    let (code, out, err) = told(output);
    let counts: Vec<_> = out.lines().collect();
    let expected =
        ["50 1", "0 1", "0 1", "50 1", "50 1", "0 1", "50 0"].map(|count| format!("\"packets\":{count}"));
    assert_eq!((code, counts), (0, expected.iter().map(String::as_str).collect()), "{err}");
}

/// There is no cooked header in the kernel: all come, and are chosen here.
#[test]
fn a_live_capture_of_all_interfaces_is_filtered_here() {
    let script = r#"
        err=$(mktemp); out=$(mktemp); "$0" sniff -i any -n udp dst port 9 > "$out" 2> "$err" &
        until grep -q listening "$err"; do sleep 0.05; done
        for n in 1 2 3 4 5; do echo hello > /dev/udp/127.0.0.1/53; echo hello > /dev/udp/127.0.0.1/9; done
        sleep 0.5; kill -TERM $!; wait $!; code=$?; cat "$err" >&2; cat "$out"; rm "$err" "$out"; exit $code"#;
    let Some(output) = in_namespace("a_live_capture_of_all_interfaces_is_filtered_here", script) else {
        return;
    };
    let (code, out, err) = told(output);
    assert_eq!((code, out.lines().count()), (0, 5), "{out}{err}");
    assert!(err.contains(" = 5 delivered + ") && !err.contains("+ 0 filtered out"), "{err}");
}
