//! Names, against what an independent dissector says of the same captures: which response answers which question, after how
//! long, with which code, what was asked again, and which hosts TLS and HTTP name.
//!
//! Skipped, aloud, without `WHARF_CORPUS` (a folder with `captures/`) or TShark 4.0; with `WHARF_ORACLES=require` that is a failure.

#[path = "support/oracles.rs"]
mod oracles;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use wharf::flow::names::{Lookup, Names, NamesOptions, Naming, Service};
use wharf::flow::{FlowKey, FlowRecord, Meter, MeterOptions};
use wharf::frame::Timestamp;
use wharf::parse::{Packet, parse};
use wharf::source::{BATCH, CaptureFile, Fill, Source};

/// Identifier, response code, nanoseconds.
type Answered = (u16, u16, u64);

/// What is found in a capture file, as far as it can be read.
#[derive(Default)]
struct Found {
    lookups: Vec<Lookup>,
    /// The hosts that connections name, by how.
    hosts: Vec<(&'static str, String)>,
    /// The same of the flows' records.
    of_flows: Vec<(&'static str, String)>,
    /// There are packets of a port where the dissector may find names.
    worth_a_look: bool,
}

fn read(path: &Path) -> Found {
    let mut names = Names::new(NamesOptions::default());
    let mut found = Found::default();
    let mut found_of_flows = Vec::new();
    let Ok(mut file) = CaptureFile::open(path) else { return found };
    let mut naming = Naming::new(NamesOptions::default());
    let (mut meter, mut records) = (Meter::new(MeterOptions::default()), Vec::new());
    let mut record = |naming: &mut Naming, mut record: FlowRecord| {
        naming.name(&mut record);
        let told = record.names.and_then(|names| Some((names.server_from?, names.server?.into())));
        found_of_flows.extend(told.filter(|(from, _)| *from != "dns"));
    };
    let mut last = Timestamp::default();
    while let Ok(Fill::Batch(batch)) = file.fill(BATCH) {
        let layers: Vec<_> = batch.frames().map(|frame| parse(&frame)).collect();
        let packets = || batch.frames().zip(&layers).map(|(frame, layers)| Packet::new(frame, layers));
        packets().for_each(|packet| naming.observe(&packet));
        meter.observe(packets(), |ended| records.push(ended));
        records.drain(..).for_each(|ended| record(&mut naming, ended));
        for frame in batch.frames() {
            let layers = parse(&frame);
            let packet = Packet::new(frame, &layers);
            last = frame.record.time.unwrap_or(last);
            let ports = packet.innermost().map_or([0; 2], |ip| [ip.source_port, ip.destination_port]);
            found.worth_a_look |= ports.iter().any(|port| [53, 80, 443, 3128, 8080].contains(port));
            let keyed = packet.innermost().and_then(|ip| FlowKey::of_layer(&packet, ip));
            if let Some(told) = keyed.and_then(|keyed| names.observe(&packet, &keyed, last)) {
                found.hosts.extend(told.server_from.zip(told.server.map(String::from)));
            }
        }
    }
    meter.finish(|ended| record(&mut naming, ended));
    found.of_flows = found_of_flows;
    names.lookups().finish();
    found.lookups.extend(std::iter::from_fn(|| names.lookups().take()));
    found
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
        oracles::missing("WHARF_CORPUS is not set");
        return None;
    };
    let version =
        Command::new("tshark").arg("--version").output().map(|output| output.stdout).unwrap_or_default();
    if !version.starts_with(b"TShark (Wireshark) 4.0.") {
        oracles::missing("TShark 4.0 is not installed");
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

/// What the dissector says, in one run.
#[derive(Default)]
struct Theirs {
    answered: Vec<Answered>,
    repeats: u64,
    hosts: Vec<(&'static str, String)>,
}

fn dissect(path: &Path) -> Theirs {
    const SNI: &str = "tls.handshake.extensions_server_name";
    let mut theirs = Theirs::default();
    let fields = ["dns.id", "dns.flags.rcode", "dns.time", "dns.retransmit_request", SNI, "http.host"];
    let filter = format!("((dns.time or dns.retransmit_request) and !mdns and !llmnr) or {SNI} or http.host");
    for row in tshark(path, &filter, &fields) {
        let [ids, codes, times, repeats, sni, host] = &row[..] else { panic!("six fields") };
        theirs.repeats += repeats.len() as u64;
        if !times.is_empty() {
            assert!(ids.len() == times.len() && codes.len() == times.len(), "{}: {row:?}", path.display());
        }
        theirs.answered.extend(
            ids.iter()
                .zip(codes)
                .zip(times)
                .map(|((id, code), time)| (number(id) as u16, number(code) as u16, nanos(time))),
        );
        theirs.hosts.extend(sni.iter().map(|host| ("tls", host.to_ascii_lowercase())));
        // Without a port; addresses are no names.
        let named = host.iter().filter(|host| !host.starts_with('['));
        let name = |host: &String| host.split(':').next().unwrap_or_default().to_ascii_lowercase();
        theirs.hosts.extend(named.map(|host| ("http", name(host))));
    }
    theirs.hosts.retain(|(_, host)| host.parse::<std::net::IpAddr>().is_err());
    theirs
}

/// Where the dissector is not followed: answers and repeats that only it has, or only we have.
const KNOWN: &[(&str, &str)] = &[
    // Answers from Geneve's port, which are not Geneve: the port is that of the destination (RFC 8926 3.3); and a
    // question that it finds in VXLAN-GPE, which is not looked into here.
    (
        "arkime/arkime_synthetic.pcap",
        "only ours [], only theirs [(4660, 0, 1000000000)]; 2 repeats of ours, 3 of theirs",
    ),
    // Asked again after 5.001 s: it takes that for another question after 5.
    ("arkime/gre-sample.pcap", "only ours [], only theirs []; 1 repeats of ours, 0 of theirs"),
    // Bytes before it are missing, so it is not known that a message begins there.
    (
        "dnscap/dnso1tcp-midmiss.pcap",
        "only ours [], only theirs [(22982, 0, 3497000)]; 0 repeats of ours, 0 of theirs",
    ),
];

/// Some text stands in the file, whatever is around it: a request's head that is not whole is none to the dissector.
fn holds(path: &Path, text: &str) -> bool {
    let bytes = fs::read(path).expect("a capture").to_ascii_lowercase();
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

#[test]
fn latencies_codes_repeats_and_hosts_are_a_dissectors() {
    let Some(folder) = corpus() else { return };
    let (mut answers, mut hosts, mut of_flows, mut failures) = (0, 0, 0, Vec::new());
    for path in captures(&folder) {
        let ours = read(&path);
        if !ours.worth_a_look {
            continue;
        }
        let theirs = dissect(&path);
        let dns = || ours.lookups.iter().filter(|lookup| lookup.service == Service::Dns);
        let answered: Vec<Answered> = dns()
            .filter_map(|lookup| Some((lookup, lookup.reply()?)))
            .map(|(lookup, reply)| (lookup.id, reply.rcode & 15, reply.latency.as_nanos() as u64))
            .collect();
        let repeats: u64 = dns().map(|lookup| u64::from(lookup.repeats)).sum();
        let (more, less) = differences(&answered, &theirs.answered);
        if !more.is_empty() || !less.is_empty() || repeats != theirs.repeats {
            let again = theirs.repeats;
            let found = format!(
                "only ours {more:?}, only theirs {less:?}; {repeats} repeats of ours, {again} of theirs"
            );
            if !KNOWN.iter().any(|(file, known)| path.ends_with(file) && found == *known) {
                failures.push(format!("{}: {found}", path.display()));
            }
        }
        // How often a host is named is not compared: of ours, a flow's first request counts.
        let once = |hosts: &[(&'static str, String)]| -> Vec<_> {
            // QUIC's hello is TLS's.
            let named =
                hosts.iter().map(|(from, host)| (if *from == "quic" { "tls" } else { from }, host.clone()));
            named.collect::<std::collections::BTreeSet<_>>().into_iter().collect()
        };
        let (mut more, less) = differences(&once(&ours.hosts), &once(&theirs.hosts));
        more.retain(|(from, host)| *from != "http" || !holds(&path, &format!("\r\nhost: {host}")));
        if !more.is_empty() || !less.is_empty() {
            failures.push(format!("{}: hosts only ours {more:?}, only theirs {less:?}", path.display()));
        }
        let (mut more, less) = differences(&once(&ours.of_flows), &once(&theirs.hosts));
        more.retain(|(from, host)| *from != "http" || !holds(&path, &format!("\r\nhost: {host}")));
        if !more.is_empty() || !less.is_empty() {
            failures.push(format!("{}: flows only ours {more:?}, only theirs {less:?}", path.display()));
        }
        of_flows += ours.of_flows.len();
        answers += theirs.answered.len();
        hosts += once(&theirs.hosts).len();
    }
    eprintln!("{answers} answers and {hosts} hosts compared, {of_flows} flows named");
    assert!(answers > 400 && hosts > 50, "{answers} answers and {hosts} hosts compared");
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}
