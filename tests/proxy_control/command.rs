//! `wharf proxy --check`, `--config`, SIGHUP.

use super::setup::{PATIENCE, ask, named, until};
use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;

fn wharf() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wharf"));
    command.arg("proxy");
    command
}

#[test]
fn check_says_right_or_what_is_wrong_where() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/proxy.toml");
    let output = wharf().arg("--check").arg(&example).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stdout).ends_with("right: 5 listeners, 6 upstreams\n"));
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("proxy.toml");
    std::fs::write(&file, "[upstream.web]\nservers = [\"10.0.0.1:http\"]\n").unwrap();
    let output = wharf().arg("--check").arg(&file).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{said}");
    let expected = format!(
        "wharf: {}, line 2, key `servers`: `10.0.0.1:http`: no port from 1 to 65535 behind the `:`\n",
        file.display()
    );
    assert_eq!(said, expected);
    let text = "upstream.a.servers = [\"127.0.0.1:1\"]\n[[listener]]\nbind = [\"tcp/80-90\"]\nto = \"a\"\n";
    let second = "[[listener]]\nname = \"second\"\nbind = [\"tcp/80,85\"]\nto = \"a\"\n";
    std::fs::write(&file, text.to_owned() + second).unwrap();
    let output = wharf().arg("--check").arg(&file).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("listener second: rules before it have all ports of `tcp/80,85`"), "{said}");
    let some = second.replace("tcp/80,85", "any/85");
    std::fs::write(&file, text.to_owned() + &some).unwrap();
    assert!(wharf().arg("--check").arg(&file).output().unwrap().status.success(), "UDP is left");
    let text = text.replace("tcp/80-90", "unix:/run/a") + "accept-proxy = [\"10.0.0.0/8\"]\n";
    std::fs::write(&file, text).unwrap();
    let output = wharf().arg("--check").arg(&file).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("listener unix:/run/a: clients of a Unix socket have no address"), "{said}");
    let output = wharf().args(["--check", "/nowhere"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn sighup_reads_the_file_again_and_sigterm_drains() {
    let [a, b] = ["a", "b"].map(named);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("proxy.toml");
    let write = |server: &str| {
        let text = format!(
            "timeouts.drain = \"1s\"\nupstream.x.servers = [\"{server}\"]\n[[listener]]\nbind = [\"127.0.0.1:tcp/0\"]\nto = \"x\"\n"
        );
        std::fs::write(&file, text).unwrap();
    };
    write(&a.to_string());
    let mut child = wharf().arg("--config").arg(&file).stderr(Stdio::piped()).spawn().unwrap();
    let (told, heard) = mpsc::channel();
    let stderr = BufReader::new(child.stderr.take().unwrap());
    thread::spawn(move || stderr.lines().map_while(Result::ok).try_for_each(|line| told.send(line)));
    let line = |part: &str| loop {
        let line = heard.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("no line with {part}"));
        if line.contains(part) {
            return line;
        }
    };
    let place = line("listening on tcp ");
    let address = place.rsplit(' ').next().unwrap().parse().unwrap();
    line("at work");
    assert_eq!(ask(address, b"", 1), "a");
    let signal = |signal| kill_process(Pid::from_child(&child), signal).unwrap();
    write(&b.to_string());
    signal(Signal::HUP);
    assert!(line("info: ").ends_with("is in force"));
    until("the other server", || ask(address, b"", 1) == "b");
    write("nobody..there:1");
    signal(Signal::HUP);
    assert!(line("warning: ").contains("not reloaded, all stays as it was: cannot resolve nobody..there"));
    std::fs::write(&file, "x").unwrap();
    signal(Signal::HUP);
    assert!(line("warning: ").contains("line 1"));
    assert_eq!(ask(address, b"", 1), "b");
    signal(Signal::TERM);
    line("accepted = ");
    assert!(child.wait().unwrap().success());
}

#[test]
fn options_have_an_admin_address_a_log_and_lines_of_json() {
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("log");
    let listen = format!("127.0.0.1:tcp/0={}", named("a"));
    let arguments =
        ["--listen", &listen, "--admin", "0", "--log-format", "json", "--drain", "1s", "--access-log"];
    let mut child = wharf().args(arguments).arg(&log).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(|line| {
        let line: serde_json::Value = serde_json::from_str(&line.unwrap()).expect("JSON");
        assert!(
            line["level"] == "info" && line["time"].as_str().is_some_and(|time| time.ends_with('Z')),
            "{line}"
        );
        line["message"].as_str().expect("a message").to_owned()
    });
    let mut last_word = |part: &str| {
        let line = lines.find(|line| line.contains(part)).expect(part);
        line.rsplit([' ', '/']).next().unwrap().to_owned()
    };
    let address = last_word("listening on tcp ").parse().unwrap();
    let admin: std::net::SocketAddr = last_word("metrics and status at ").parse().unwrap();
    assert!(admin.ip().is_loopback());
    last_word("at work");
    assert_eq!(ask(address, b"", 1), "a");
    assert!(ask(admin, b"GET /health HTTP/1.0\r\n\r\n", 1_000).ends_with("ok\n"));
    // As logrotate does it: records that come afterwards are in the new file.
    std::fs::rename(&log, directory.path().join("log.1")).unwrap();
    kill_process(Pid::from_child(&child), Signal::HUP).unwrap();
    last_word("the access log is opened anew");
    until("a new log", || log.exists());
    assert_eq!(ask(address, b"", 1), "a");
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    last_word("accepted = ");
    assert!(child.wait().unwrap().success());
    assert!(std::fs::read_to_string(&log).unwrap().contains("\"transport\":\"tcp\""));
}
