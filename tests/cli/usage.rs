//! Bad usage, bad input, help.

use super::capture;
use super::{run, told, wharf};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use tempfile::tempdir;

#[test]
fn an_unknown_checksum_variant_is_bad_usage() {
    let run = |name| told(wharf(["man"]).env("WHARF_CHECKSUM", name).output().unwrap());
    let (code, out, err) = run("sclar");
    assert_eq!((code, out.as_str()), (2, ""), "{err}");
    assert!(err.starts_with("wharf: no checksum variant \"sclar\"") && err.contains("wide"), "{err}");
    assert_eq!(err.lines().count(), 1, "{err}");
    assert_eq!(run("scalar").0, 0);
    assert_eq!(run("").0, 0);
}

/// One line that has the hint in it, code 2, and nothing on standard output.
fn refused(arguments: &str, hint: &str) {
    let (code, out, err) = run(arguments.split(' '));
    assert_eq!((code, out.as_str()), (2, ""), "{arguments}: {err}");
    assert!(err.starts_with("wharf: ") && err.contains(hint), "{arguments}: {err}");
    assert_eq!(err.lines().count(), 1, "{arguments}: {err}");
}

/// clap forgets what an option requires where that cannot be beside another option that was given.
#[test]
fn what_requires_an_option_is_refused_where_that_cannot_be() {
    #[cfg(feature = "xdp")]
    for option in ["--queue 0", "--xdp-copy", "--xdp-spin"] {
        for other in [
            "-r a",
            "-i lo -Q in",
            "-i lo -p",
            "-i lo --netns x",
            "-i lo --cores 0 --fanout cpu",
            "-i lo -j host",
        ] {
            for command in ["sniff", "dns"] {
                refused(&format!("{command} {other} {option}"), "cannot be used with");
            }
        }
    }
    for option in ["--before 1s", "--after 1s", "--trouble-memory 1m"] {
        refused(&format!("sniff -r a -w b --print {option}"), "cannot be used with");
    }
    for choice in ["--number 1", "--as hex", "--only first"] {
        refused(&format!("follow -r a --json {choice}"), "cannot be used with");
    }
    for option in ["--loop 2", "--speed 2x"] {
        for frames in ["--seed 2", "--size 64", "--port 53", "--distinct 5", "--vlan 7"] {
            refused(&format!("gen -i lo {option} {frames}"), "--read");
        }
    }
    refused("split -r a --rest b --max-open 5", "cannot be used with");
    refused("split -r a --to tcp/80=b --max-open 5", "--each");
    refused("sniff -i lo --fanout cpu -r a", "cannot be used with");
}

/// What was taken and changed nothing.
#[test]
fn an_option_that_would_do_nothing_is_refused() {
    for option in ["--format pcap", "--comment x", "--write-queue 1m"] {
        refused(&format!("sniff -r a {option}"), "name one with -w");
    }
    for file in ["-w b.pcap", "-w b.cap.gz", "-w b.pcapng --format pcap"] {
        refused(&format!("sniff -r a {file} --comment x"), "pcap has no place for a --comment");
    }
    refused("split -r a --to tcp/80=b.pcap --comment x", "b.pcap: pcap has no place for a --comment");
    refused("split -r a --to tcp/80=b --each {port}.pcap --comment x", "pcap has no place for a --comment");
    for option in ["-x", "-X", "-A", "-e", "-q", "-S", "-#", "-tttt", "--nano"] {
        for other in ["--json", "--count", "--count --json", "--json -w b --print"] {
            refused(&format!("sniff -r a {other} {option}"), "shapes lines of text");
        }
    }
    for option in ["--qdisc", "--strict", "--yes-on-this-interface"] {
        refused(&format!("gen -w a --count 1 {option}"), "cannot be used with");
    }
    #[cfg(feature = "xdp")]
    refused("gen -w a --count 1 --xdp", "cannot be used with");
    #[cfg(feature = "proxy")]
    for option in ["--admin 9901", "--cores 0", "--json", "--drain 5s"] {
        refused(&format!("proxy --check a {option}"), "cannot be used with");
    }
    refused("filter -r a -y RAW tcp", "cannot be used with");
    refused("filter -s 96 tcp", "-d and --json show");
    refused("filter -r a -s 96 tcp", "cannot be used with");
}

/// What users of tcpdump have in one word with -w is told, and the file written.
#[test]
fn options_of_lines_beside_a_file_are_told() {
    let dir = tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).display().to_string();
    fs::write(path("a.pcap"), capture::small()).unwrap();
    let (code, out, err) = run(["sniff", "-nnvvXSs0", "-r", &path("a.pcap"), "-w", &path("b.pcap")]);
    assert_eq!((code, out.as_str()), (0, ""), "{err}");
    assert!(
        err.starts_with("wharf: -S shows nothing with -w unless --print is given too\n5 received"),
        "{err}"
    );
    let (code, _, err) = run(["sniff", "-nv", "-r", &path("a.pcap"), "-w", &path("c.pcap")]);
    assert_eq!((code, err.as_str()), (0, "5 received = 5 delivered + 0 filtered out + 0 dropped\n"));
}

/// What users of other programs type by habit, and what slips.
#[test]
fn habits_and_slips_are_told_what_is_right() {
    for (arguments, hint) in [
        ("sniff lo.pcapng", "lo.pcapng is a file, not an expression: did you mean -r lo.pcapng?"),
        ("flows day.cap", "did you mean -r day.cap?"),
        ("gen -i lo lo.pcapng", "did you mean -r lo.pcapng?"),
        ("sniff --ports 443", "tcp/443, udp/443 or any/443"),
        ("split -r a --to 80,443=x", "tcp/80,443, udp/80,443 or any/80,443"),
        ("sniff -r a -c 99999999999999999999", "more than can be counted"),
        ("sniff -r a -c 99999999999999999g", "more than can be counted"),
        ("sniff -r a -c 0", "not above 0: give a count such as 1000"),
        ("sniff -r a -c 1.5k", "not a count such as 1000, 10k or 1M"),
        ("sniff -r a -w b --file-packets many", "not a count such as"),
        ("sniff -r a -w b -G 1h", "not a number of seconds such as 60"),
        ("sniff -r a -K", "wrong ones are marked"),
        ("sniff -r a -z conv,tcp", "`wharf flows`"),
        ("gen -i lo --pps 10", "--rate 10k is packets a second"),
        ("gen -i lo --topspeed", "'--topspeed' found: --flat-out; see --help"),
        ("gen -i lo -x 2", "--speed 2x"),
        ("replay a.pcap", "`wharf gen` does that, of a file with -r"),
        ("capinfos a.pcap", "`wharf sniff -r FILE --count`"),
        #[cfg(feature = "proxy")]
        ("proxy -f x", "--config FILE"),
        #[cfg(feature = "proxy")]
        ("proxy -t x", "--check FILE"),
        #[cfg(feature = "proxy")]
        ("proxy x.toml", "--config FILE"),
        #[cfg(feature = "proxy")]
        ("proxy", "give --listen RULE=UPSTREAM, --config FILE or --check FILE"),
        #[cfg(feature = "proxy")]
        ("proxy --listen 8081=127.0.0.1:1", "tcp/8081, udp/8081 or any/8081"),
    ] {
        refused(arguments, hint);
    }
    // 10k packets are 10,000.
    let (code, _, err) = run(["sniff", "-r", "/nope", "-c", "10k"]);
    assert!(code == 1 && err.contains("No such file"), "{err}");
}

/// Help does not help where a file is wrong.
#[cfg(feature = "proxy")]
#[test]
fn a_wrong_file_is_not_told_to_see_the_help() {
    let dir = tempdir().unwrap();
    let file = dir.path().join("bad.toml");
    fs::write(&file, "cores = 1\n").unwrap();
    let (code, _, err) = run(["proxy", "--check", file.to_str().unwrap()]);
    assert!(code == 2 && err.contains("line 1") && !err.contains("see --help"), "{err}");
}

#[test]
fn bad_usage_is_one_line_and_code_2() {
    for (arguments, hint) in [
        ("snif", "did you mean 'sniff'?"),
        ("sniff -r a -i b", "cannot be used with"),
        ("-ni eth0", "a subcommand comes first, as in `wharf sniff -i eth0`"),
        ("sniff -r a -w b --count", "--count shows nothing with -w unless --print"),
        ("sniff -r a -w b --json", "--json shows nothing with -w unless --print"),
        ("sniff -r a -w - --print", "cannot share standard output"),
        ("sniff -r a --cuont", "did you mean '--count'?"),
        ("sniff -r a -c 0", "--limit"),
        ("sniff -r a -c many", "--limit"),
        ("sniff -i lo -Q up", "in, out or inout"),
        ("sniff -r a --when-full block", "--when-full"),
        ("sniff -r a --cores 3-1", "2 or 0-3,5"),
        ("sniff -i lo --ring 5g", "no kernel takes a ring of 4 GiB"),
        ("sniff -i lo --ring 64", "a number alone is bytes"),
        ("sniff -i lo --ring 0", "64k, 256M or 1g"),
        ("sniff -i lo -B 0", "--buffer-size"),
        ("sniff -i lo -B 5000000", "--buffer-size"),
        ("gen -i lo --cores 0,0", "CPU 0 is named twice"),
        ("sniff -r a --cores 0-2,1", "CPU 1 is named twice"),
        ("sniff -r a -Q in", "cannot be used with"),
        ("sniff -r a -B 4096", "cannot be used with"),
        ("sniff -r a --ring 64M", "cannot be used with"),
        ("sniff -r a -p", "cannot be used with"),
        ("sniff -r a -s 96", "-s 96 cuts packets of a file (-r) where they are written: name one with -w"),
        ("flows -r a -s 96", "`wharf sniff -r FILE -s BYTES -w FILE` does"),
        ("dns -r a -s 96", "`wharf sniff -r FILE -s BYTES -w FILE` does"),
        ("follow -r a -s 96", "`wharf sniff -r FILE -s BYTES -w FILE` does"),
        ("sniff -i lo -i lo", "lo: named twice: give -i once for each interface"),
        ("sniff -i any -i lo", "any stands for all interfaces: name no other beside it"),
        #[cfg(feature = "xdp")]
        ("sniff --xdp", "name the interface with -i"),
        #[cfg(feature = "xdp")]
        ("sniff --xdp -i lo -i any", "name one with -i"),
        ("sniff -r a -d tcp", "`wharf filter -d EXPRESSION` shows the program"),
        ("sniff -r a -nK", "`wharf flows -K` does not"),
        ("sniff -i lo -L", "told when a capture begins"),
        ("sniff -i lo -y RAW", "a file tells its own"),
        ("sniff -i lo --immediate-mode", "-l or -U hands on each at once"),
        ("sniff -r a -w b -C 0", "100 (million bytes)"),
        ("sniff -r a -C 1", "--write"),
        ("sniff -r a -w b -W 3", "--file-size"),
        ("sniff -r a --print", "--write"),
        ("sniff -D -r a", "cannot be used with"),
        ("split -r a", "--to RULE=FILE"),
        ("split -r a --to tcp/443", "expected RULE=FILE"),
        ("split -r a --to tcp/443=", "no file"),
        ("split -r a --to tcp/80,http=b", "column 8"),
        ("split -r a --to tcpp=b", "did you mean `tcp`?"),
        ("split -r a --to tcp/1=b --to tcp/2=b", "named twice"),
        ("split -r a --to tcp/1=b --to tcp/2=./b", "named twice"),
        ("split -r a --each {color}", "{port}"),
        ("split -r a --each {port} --rest b", "cannot be used with"),
        ("completions tclsh", "possible values: bash"),
    ] {
        refused(arguments, hint);
    }
    // The subcommand did come first.
    for arguments in ["bench b", "doctor eth0 d"] {
        let (code, _, err) = run(arguments.split(' '));
        assert!(code == 2 && !err.contains("a subcommand comes first"), "{err}");
    }
    // What is no habit of sniff's users is not explained to others.
    let (_, _, err) = run(["split", "-y", "RAW"]);
    assert!(err.starts_with("wharf: ") && !err.contains("a file tells its own"), "{err}");
    let (code, out, err) = run([]);
    assert_eq!((code, out.as_str()), (2, ""));
    assert!(err.contains("Usage: wharf <COMMAND>") && err.contains("Exit codes:"));
}

#[test]
fn a_first_argument_that_is_no_text_is_bad_usage() {
    let (code, out, err) = told(wharf([]).arg(OsStr::from_bytes(b"\xff")).output().unwrap());
    assert_eq!((code, out.as_str(), err.lines().count()), (2, "", 1), "{err}");
    assert!(err.starts_with("wharf: unrecognized subcommand"), "{err}");
}

#[test]
fn bad_input_is_one_line_and_code_1() {
    let dir = tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).display().to_string();
    fs::write(path("empty"), "").unwrap();
    fs::write(path("text"), "This is no capture file, whatever it is called.").unwrap();
    fs::write(path("good"), capture::small()).unwrap();
    for (arguments, reason) in [
        (format!("sniff -r {}", path("missing")), "No such file or directory (os error 2)"),
        (format!("sniff -r {}", dir.path().display()), "directory"),
        (format!("sniff -r {}", path("empty")), "the file is empty"),
        (format!("sniff -r {}", path("text")), "not a capture file"),
        (format!("split -r {} --rest {}", path("text"), path("x")), "not a capture file"),
        ("sniff -i wharf-nope0".to_owned(), "wharf-nope0: no such interface"),
        // What another machine may have.
        ("gen -i lo --cores 1000".to_owned(), "cannot run on CPU 1000"),
        ("sniff -i lo --cores 1000".to_owned(), "cannot run on CPU 1000"),
        (format!("sniff -r {} --count --cores 100000", path("good")), "cannot run on CPU 100000"),
        (format!("sniff -r {} -w {} --cores 100000", path("good"), path("x")), "cannot run on CPU 100000"),
        (
            format!("split -r {} --rest {} --cores 100000", path("good"), path("x")),
            "cannot run on CPU 100000",
        ),
    ] {
        let (code, out, err) = run(arguments.split(' '));
        assert_eq!((code, out.as_str()), (1, ""), "{arguments}: {err}");
        assert!(err.starts_with("wharf: ") && err.contains(reason), "{arguments}: {err}");
        assert_eq!(err.lines().count(), 1, "{arguments}: {err}");
        assert_eq!(err.matches(reason).count(), 1, "said once: {err}");
    }
    assert!(!dir.path().join("x").exists(), "nothing is created for a run that cannot begin");
}

#[test]
fn bad_standard_input_is_told_too() {
    for (input, reason) in [("", "the file is empty"), ("no capture file at all, this", "not a capture file")]
    {
        let (code, out, err) = told(wharf(["sniff", "-r", "-"]).write_stdin(input).output().unwrap());
        assert_eq!((code, out.as_str()), (1, ""));
        assert!(err.lines().last().unwrap().starts_with("wharf: standard input: "), "{err}");
        assert!(err.contains(reason), "{err}");
    }
}

#[test]
fn an_unknown_link_type_is_noted_and_its_packets_passed_on() {
    let dir = tempdir().unwrap();
    let (from, to) = (dir.path().join("from.pcap"), dir.path().join("to.pcap"));
    let bytes = [capture::header(4000), capture::record(1, b"something")].concat();
    fs::write(&from, &bytes).unwrap();
    let (from, to) = (from.to_str().unwrap(), to.to_str().unwrap());
    let (code, out, err) = run(["sniff", "-r", from, "-nXX"]);
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("something"), "{out}");
    assert!(err.starts_with("wharf: link type 4000 is not known"), "{err}");

    assert_eq!(run(["sniff", "-r", from, "-w", to]).0, 0);
    assert!(fs::read(to).unwrap().ends_with(b"something"));
}

#[test]
fn every_subcommand_has_help_with_examples() {
    for subcommand in ["sniff", "split", "interfaces", "demo", "bench", "completions", "man"] {
        let (code, out, err) = run([subcommand, "--help"]);
        assert_eq!((code, err.as_str()), (0, ""), "{subcommand}");
        assert!(out.contains(&format!("Examples:\n  wharf {subcommand}")), "{out}");
    }
    let (code, out, _) = run(["--version"]);
    assert_eq!((code, out), (0, format!("wharf {}\n", env!("CARGO_PKG_VERSION"))));
}

/// The exit codes are in one table; what 3 means is the command's own, and where there is no 3 none is told.
#[test]
fn exit_codes_are_those_of_the_command() {
    let help = |subcommand: &str| run([subcommand, "--help"]).1;
    for (subcommand, three) in [
        ("sniff", "--strict was given and packets were dropped"),
        ("split", "--strict was given and packets were dropped"),
        ("dns", "--strict was given and packets were dropped"),
        ("follow", "--strict was given and packets were dropped"),
        ("flows", "that were to go to Kafka or a collector"),
        ("gen", "--strict was given and a frame was refused"),
        ("doctor", "something is bad"),
    ] {
        let help = help(subcommand);
        let codes = help.split("Exit codes:").nth(1).unwrap_or_else(|| panic!("{help}"));
        assert!(
            ["  0  done", "  1  failure", "  2  bad usage", "  3  "].iter().all(|code| codes.contains(code))
        );
        assert!(codes.contains(three), "{subcommand}: {codes}");
    }
    for subcommand in ["filter", "interfaces", "demo", "bench", "completions", "man", "proxy"] {
        if subcommand == "proxy" && !cfg!(feature = "proxy") {
            continue;
        }
        let help = help(subcommand);
        assert!(help.contains("  2  bad usage") && !help.contains("  3  "), "{subcommand}: {help}");
        let text = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/sniff.md")).unwrap();
        let line = text.lines().find(|line| line.contains("have no 3")).unwrap();
        assert!(line.contains(&format!("`{subcommand}`")), "{line}");
    }
}

/// What help claimed once and was not so.
#[test]
fn help_says_what_holds() {
    for (subcommand, phrases) in [
        ("flows", &["--kafka-queue <SIZE>", "would time out first", "VLAN and tunnel", "[default: 60s]"][..]),
        ("sniff", &["--interface <IFACE>", "the first interface that is up and running", "[default: inout]"]),
        ("gen", &["--interface <IFACE>"]),
        ("filter", &["-d, --dump"]),
    ] {
        let help = run([subcommand, "--help"]).1;
        // As it stands before it is wrapped.
        let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
        for phrase in phrases {
            assert!(help.contains(phrase), "{subcommand}: {phrase}: {help}");
        }
        assert!(!help.contains("silent the longest") && !help.contains("<IF>"), "{subcommand}: {help}");
    }
}

#[test]
fn help_and_manual_tell_of_the_environment() {
    for text in [run(["--help"]).1, run(["man"]).1] {
        let told = text.split("Environment:").nth(1).unwrap_or_else(|| panic!("{text}"));
        for name in ["WHARF_CHECKSUM", "WHARF_MAP", "NO_COLOR"] {
            assert!(told.contains(name) || told.contains(&name.replace('_', "\\_")), "{name}: {told}");
        }
    }
}

/// Every option that takes a time takes all of them.
#[test]
fn a_time_is_written_one_way() {
    let accepted = |arguments: &str| {
        let (code, _, err) = run(arguments.split(' '));
        // The file is missed after the options have been read.
        assert_eq!(code, 1, "{arguments}: {err}");
    };
    for time in ["2", "1.5s", "500ms", "20000us", "2m", "1h", "1d"] {
        accepted(&format!("flows -r /nope --idle-timeout {time} --active-timeout {time}"));
        accepted(&format!("dns -r /nope --timeout {time}"));
        accepted(&format!("sniff -r /nope --stats {time}"));
        accepted(&format!("gen -r /nope -w /nope/nope --duration {time}"));
    }
    for arguments in ["flows -r /nope --idle-timeout", "dns -r /nope --timeout", "sniff -r /nope --stats"] {
        let (code, _, err) = run(format!("{arguments} 5sek").split(' '));
        assert!(code == 2 && err.contains("500ms, 1.5s, 30m, 1h or 2d"), "{err}");
    }
}

#[test]
fn completions_for_every_shell() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let (code, out, err) = run(["completions", shell]);
        assert_eq!((code, err.as_str()), (0, ""), "{shell}");
        assert!(out.contains("snapshot-length"), "{shell}");
    }
}

#[test]
fn manual_pages() {
    let (code, out, _) = run(["man"]);
    assert_eq!(code, 0);
    assert!(out.contains(".TH wharf 1"), "{out}");

    let dir = tempdir().unwrap();
    let man1 = dir.path().join("share/man/man1");
    assert_eq!(run(["man", "--dir", man1.to_str().unwrap()]).0, 0);
    for page in ["wharf.1", "wharf-sniff.1", "wharf-split.1", "wharf-interfaces.1"] {
        assert!(fs::read_to_string(man1.join(page)).unwrap().contains(".SH NAME"), "{page}");
    }
    fs::write(dir.path().join("file"), "").unwrap();
    let (code, _, err) = run(["man", "--dir", dir.path().join("file").to_str().unwrap()]);
    assert_eq!(code, 1);
    assert!(err.contains("cannot write the manual pages"), "{err}");
}

#[test]
fn interfaces_as_table_and_as_json() {
    let (code, table, _) = run(["interfaces"]);
    assert_eq!(code, 0);
    assert!(table.starts_with("name") && table.lines().last().unwrap().starts_with("any"), "{table}");
    let (_, json, _) = run(["interfaces", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json.as_array().unwrap().len(), table.lines().count() - 1);
    assert_eq!(run(["sniff", "-D"]), run(["interfaces"]));
}
