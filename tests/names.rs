//! Names, against what an independent dissector says of the same captures: which response answers which question, after how
//! long, with which code, and what was asked again.
//!
//! Skipped, aloud, without `WHARF_CORPUS` (a folder with `captures/`) or TShark 4.0.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use wharf::flow::FlowKey;
use wharf::flow::names::{Lookup, Names, NamesOptions, Service};
use wharf::frame::Timestamp;
use wharf::parse::{Packet, parse};
use wharf::source::{BATCH, CaptureFile, Fill, Source};

/// Identifier, response code, nanoseconds.
type Answered = (u16, u16, u64);

/// All lookups of a capture file, and the hosts that connections name, by how; as far as the file can be read.
fn read(path: &Path) -> (Vec<Lookup>, Vec<(&'static str, String)>) {
    let mut names = Names::new(NamesOptions::default());
    let (mut lookups, mut hosts) = (Vec::new(), Vec::new());
    let Ok(mut file) = CaptureFile::open(path) else { return (lookups, hosts) };
    let mut last = Timestamp::default();
    while let Ok(Fill::Batch(batch)) = file.fill(BATCH) {
        for frame in batch.frames() {
            let layers = parse(&frame);
            let packet = Packet::new(frame, &layers);
            last = frame.record.time.unwrap_or(last);
            let keyed = packet.innermost().and_then(|ip| FlowKey::of_layer(&packet, ip));
            if let Some(told) = keyed.and_then(|keyed| names.observe(&packet, &keyed, last)) {
                hosts.extend(told.server_from.zip(told.server.map(String::from)));
            }
        }
    }
    names.lookups().finish();
    lookups.extend(std::iter::from_fn(|| names.lookups().take()));
    (lookups, hosts)
}

/// Rows of fields, each with all its values.
fn tshark(path: &Path, filter: &str, fields: &[&str]) -> Vec<Vec<Vec<String>>> {
    let mut command = Command::new("tshark");
    command.args(["-n", "-o", "ip.defragment:FALSE", "-o", "ipv6.defragment:FALSE", "-r"]).arg(path);
    command.args(["-Y", filter, "-T", "fields", "-E", "occurrence=a", "-E", "aggregator=;"]);
    fields.iter().for_each(|field| {
        command.args(["-e", field]);
    });
    let output = String::from_utf8(command.output().expect("tshark runs").stdout).expect("UTF-8");
    let values = |cell: &str| cell.split(';').filter(|value| !value.is_empty()).map(str::to_owned).collect();
    output.lines().map(|line| line.split('\t').map(values).collect()).collect()
}

fn number(text: &str) -> u64 {
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).expect("hexadecimal"),
        None => text.parse().expect("a number"),
    }
}

/// Seconds with nine decimals.
fn nanos(text: &str) -> u64 {
    let (seconds, fraction) = text.split_once('.').expect("a fraction");
    number(seconds) * 1_000_000_000 + number(&format!("{fraction:0<9}"))
}

/// `captures/` of the corpus, where the dissector is installed too.
fn corpus() -> Option<PathBuf> {
    let Some(corpus) = std::env::var_os("WHARF_CORPUS") else {
        eprintln!("SKIPPED: WHARF_CORPUS is not set");
        return None;
    };
    let version =
        Command::new("tshark").arg("--version").output().map(|output| output.stdout).unwrap_or_default();
    if !version.starts_with(b"TShark (Wireshark) 4.0.") {
        eprintln!("SKIPPED: TShark 4.0 is not installed");
        return None;
    }
    Some(Path::new(&corpus).join("captures"))
}

fn captures(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()) {
        if entry.is_dir() { files.extend(captures(&entry)) } else { files.push(entry) }
    }
    files.sort();
    files
}

/// What only one of both lists has.
fn differences<T: Ord + Clone>(ours: &[T], theirs: &[T]) -> (Vec<T>, Vec<T>) {
    let mut counts: BTreeMap<T, i64> = BTreeMap::new();
    ours.iter().for_each(|item| *counts.entry(item.clone()).or_default() += 1);
    theirs.iter().for_each(|item| *counts.entry(item.clone()).or_default() -= 1);
    let of = |wanted: fn(i64) -> bool| {
        counts.iter().filter(|(_, n)| wanted(**n)).map(|(item, _)| item.clone()).collect()
    };
    (of(|count| count > 0), of(|count| count < 0))
}

#[test]
fn latencies_codes_and_repeats_are_a_dissectors() {
    let Some(folder) = corpus() else { return };
    let (mut compared, mut failures) = (0, Vec::new());
    for path in captures(&folder) {
        let (lookups, _) = read(&path);
        let dns = || lookups.iter().filter(|lookup| lookup.service == Service::Dns);
        let mut ours: Vec<Answered> = dns()
            .filter_map(|lookup| {
                lookup.reply().map(|reply| (lookup.id, reply.rcode & 15, reply.latency.as_nanos() as u64))
            })
            .collect();
        ours.sort_unstable();
        let fields = ["dns.id", "dns.flags.rcode", "dns.time"];
        let rows = tshark(&path, "dns.time and !mdns and !llmnr", &fields);
        let mut theirs: Vec<Answered> = Vec::new();
        for row in rows {
            // A response given again has a time too, of which ours tells as a duplicate: see below.
            let [ids, codes, times] = &row[..] else { panic!("three fields") };
            assert!(ids.len() == times.len() && codes.len() == times.len(), "{}: {row:?}", path.display());
            theirs.extend(
                ids.iter()
                    .zip(codes)
                    .zip(times)
                    .map(|((id, code), time)| (number(id) as u16, number(code) as u16, nanos(time))),
            );
        }
        let (only_ours, only_theirs) = differences(&ours, &theirs);
        let repeats: u64 = dns().map(|lookup| u64::from(lookup.repeats)).sum();
        let again = tshark(&path, "dns.retransmit_request", &["frame.number"]).len() as u64;
        compared += theirs.len();
        if !only_ours.is_empty() || !only_theirs.is_empty() || repeats != again {
            failures.push(format!(
                "{}: only ours {only_ours:?}, only theirs {only_theirs:?}; {repeats} repeats of ours, {again} of theirs",
                path.display()
            ));
        }
    }
    eprintln!("{compared} answers compared");
    assert!(compared > 400, "{compared} answers compared");
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

#[test]
fn hosts_of_tls_and_http_are_a_dissectors() {
    let Some(folder) = corpus() else { return };
    let (mut compared, mut failures) = (0, Vec::new());
    for path in captures(&folder) {
        let (_, hosts) = read(&path);
        for (from, field) in [("tls", "tls.handshake.extensions_server_name"), ("http", "http.host")] {
            let mut ours: Vec<String> =
                hosts.iter().filter(|(by, _)| *by == from).map(|(_, host)| host.clone()).collect();
            ours.sort_unstable();
            let mut theirs: Vec<String> =
                tshark(&path, field, &[field]).into_iter().flatten().flatten().collect();
            theirs.iter_mut().for_each(|host| {
                host.make_ascii_lowercase();
                // A port, if any.
                if let Some((name, port)) = host.split_once(':')
                    && port.bytes().all(|byte| byte.is_ascii_digit())
                {
                    *host = name.to_owned();
                }
            });
            theirs.retain(|host| host.parse::<std::net::IpAddr>().is_err());
            compared += theirs.len();
            // A flow is named once: by each of its requests, but those after the first are not looked for when it is.
            ours.dedup();
            theirs.sort_unstable();
            theirs.dedup();
            let (only_ours, only_theirs) = differences(&ours, &theirs);
            if !only_ours.is_empty() || !only_theirs.is_empty() {
                failures.push(format!(
                    "{} {from}: only ours {only_ours:?}, only theirs {only_theirs:?}",
                    path.display()
                ));
            }
        }
    }
    eprintln!("{compared} hosts compared");
    assert!(compared > 100, "{compared} hosts compared");
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}
