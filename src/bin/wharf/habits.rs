//! What users of other programs type by habit, and what wharf wants instead.

use clap::error::{ContextKind, ContextValue, ErrorKind};

/// What to do instead, where the wrong argument is such a habit.
pub(crate) fn habit(error: &clap::Error) -> Option<&'static str> {
    let first = std::env::args_os().nth(1)?;
    let first = first.to_str()?;
    let named = |kind| match error.get(kind) {
        Some(ContextValue::String(name)) => Some(name.as_str()),
        _ => None,
    };
    match error.kind() {
        ErrorKind::InvalidSubcommand => instead("", named(ContextKind::InvalidSubcommand)?),
        ErrorKind::UnknownArgument => {
            let argument = named(ContextKind::InvalidArg)?;
            // Of a cluster clap names the one letter that it does not know.
            if first.starts_with('-') && first.starts_with(argument) {
                return Some("a subcommand comes first, as in `wharf sniff -i eth0`");
            }
            if first == "proxy" && !argument.starts_with('-') {
                return Some("--config FILE runs what a file says, --check FILE looks at it");
            }
            instead(first, argument)
        }
        _ => None,
    }
}

fn instead(command: &str, word: &str) -> Option<&'static str> {
    let of = |(of, words, _): &&(&str, &[&str], _)| *of == command && words.contains(&word);
    HABITS.iter().find(of).map(|(.., instead)| *instead)
}

/// Words of other programs by the command that they are given to; without one, commands themselves.
const HABITS: [(&str, &[&str], &str); 31] = [
    // tcpdump, and some of tshark.
    ("sniff", &["-d"], "`wharf filter -d EXPRESSION` shows the program"),
    ("sniff", &["-O", "--no-optimize"], "there is no optimiser to turn off"),
    ("sniff", &["-y", "--linktype"], "an interface has one link type, and a file tells its own"),
    (
        "sniff",
        &["-L", "--list-data-link-types"],
        "an interface has one link type, told when a capture begins",
    ),
    (
        "sniff",
        &["-K", "--dont-verify-checksums"],
        "sums are always verified: wrong ones are marked, and all are shown with -v; `wharf flows -K` does not",
    ),
    (
        "sniff",
        &["--immediate-mode"],
        "packets come within 20 ms to a terminal, 50 ms elsewhere; -l or -U hands on each at once",
    ),
    ("sniff", &["-I", "--monitor-mode"], "set it before: `iw dev IFACE set type monitor`"),
    ("sniff", &["-f", "-N"], "addresses are never looked up"),
    ("sniff", &["-T", "-Y"], "--json prints an object a packet, and jq chooses from it"),
    ("sniff", &["-V"], "-r takes one file, or `-` for standard input"),
    ("sniff", &["-a", "-b"], "-C, -G and --file-packets go on to new files, -W bounds them, -c ends"),
    (
        "sniff",
        &["-z"],
        "`wharf flows` is tshark's -z conv, `wharf follow` its -z follow; there is no program to run on files",
    ),
    // tcpreplay, trafgen, pktgen.
    ("gen", &["--pps", "--mbps"], "--rate 10k is packets a second, --rate 10Mbit bits"),
    ("gen", &["-x", "--multiplier"], "--speed 2x"),
    ("gen", &["-t", "--topspeed"], "--flat-out"),
    ("gen", &["-l"], "--loop N"),
    ("gen", &["-o", "--out", "--dev", "--intf1"], "-i IFACE"),
    ("gen", &["-n", "--num", "--limit"], "--count N"),
    // nginx, HAProxy, sslh, rinetd.
    ("proxy", &["-f", "-c", "-F"], "--config FILE runs what a file says, --check FILE looks at it"),
    ("proxy", &["-t"], "--check FILE"),
    ("proxy", &["-l", "-p"], "--listen RULE=UPSTREAM, as in --listen tcp/8080=10.0.0.1:80"),
    ("flows", &["-z"], "the table is tshark's -z conv; `wharf follow` its -z follow"),
    // Their commands.
    ("", &["tcpdump", "tshark", "dump", "capture", "dumpcap", "record"], "`wharf sniff` does that"),
    (
        "",
        &["replay", "tcpreplay", "play", "trafgen", "generate", "send"],
        "`wharf gen` does that, of a file with -r",
    ),
    ("", &["capinfos", "info", "stats", "count"], "`wharf sniff -r FILE --count` counts, by port"),
    (
        "",
        &["editcap", "cut", "convert"],
        "`wharf sniff -r IN -w OUT` copies, with -s, -c, -C, -G or --format",
    ),
    ("", &["mergecap", "merge"], "-r takes one file at a time"),
    ("", &["tcpprep", "PcapSplitter"], "`wharf split` does that"),
    ("", &["tcpflow", "stream", "streams"], "`wharf flows --streams DIR`, or `wharf follow` for one"),
    ("", &["softflowd", "nfpcapd", "netflow", "conv", "top", "iftop"], "`wharf flows` does that"),
    ("", &["haproxy", "nginx", "sslh", "socat", "rinetd", "forward"], "`wharf proxy` does that"),
];
