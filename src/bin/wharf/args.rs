//! The command line as a whole, and the values that several subcommands take.

use crate::{
    bench, completions, demo, doctor, exit, filter, flows, follow, generate, interfaces, man, sniff, split,
};
use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, Subcommand};
use std::time::Duration;

/// Capture packets, or read them from capture files: print them, count them, sort them into files by port; send some.
#[derive(Debug, Parser)]
#[command(name = "wharf", version, arg_required_else_help = true, max_term_width = 100)]
#[command(after_help = exit::TABLE)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Sniff(Box<sniff::SniffArgs>),
    Split(Box<split::SplitArgs>),
    Follow(Box<follow::FollowArgs>),
    Flows(Box<flows::FlowsArgs>),
    Filter(filter::FilterArgs),
    Interfaces(interfaces::InterfacesArgs),
    Demo(demo::DemoArgs),
    Doctor(doctor::DoctorArgs),
    Gen(Box<generate::GenArgs>),
    Bench(bench::BenchArgs),
    Completions(completions::CompletionsArgs),
    Man(man::ManArgs),
}

/// Wrong arguments that only a second look finds.
pub(crate) fn usage(what: &str) -> clap::Error {
    Arguments::command().error(ErrorKind::ValueValidation, what)
}

/// A size as tcpdump's -C takes it: millions of bytes, or with `k`, `m` or `g` binary thousands,
/// millions, milliards of them.
pub(crate) fn file_size(text: &str) -> Result<u64, String> {
    let (digits, unit) = match text.char_indices().last() {
        Some((at, 'k' | 'K')) => (&text[..at], 1 << 10),
        Some((at, 'm' | 'M')) => (&text[..at], 1 << 20),
        Some((at, 'g' | 'G')) => (&text[..at], 1 << 30),
        _ => (text, 1_000_000),
    };
    let size = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(unit));
    size.filter(|&size| size > 0)
        .ok_or_else(|| "not a size such as 100 (million bytes), 64k, 16m or 1g".to_owned())
}

/// The same, where 0 stands for none.
pub(crate) fn size_or_none(text: &str) -> Result<u64, String> {
    if text == "0" { Ok(0) } else { file_size(text) }
}

/// Reads `1s`, `500ms`, `2m`, `1h`; a number alone is seconds.
pub(crate) fn time_or_never(text: &str) -> Result<Duration, String> {
    let units = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("", 1_000)];
    let millis = units.iter().find_map(|(unit, millis)| {
        text.strip_suffix(unit)?.parse::<u64>().ok()?.checked_mul(*millis).map(Duration::from_millis)
    });
    millis.ok_or_else(|| "not a time such as 1s, 500ms or 30m".to_owned())
}

/// The same, where 0 is none.
pub(crate) fn time(text: &str) -> Result<Duration, String> {
    time_or_never(text).and_then(|time| if time.is_zero() { Err("more than 0".to_owned()) } else { Ok(time) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        for (text, millis) in
            [("0", 0), ("1s", 1_000), ("500ms", 500), ("2m", 120_000), ("3", 3_000), ("1h", 3_600_000)]
        {
            assert_eq!(time_or_never(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "s", "-1s", "1.5s", "1d", "99999999999999999h"] {
            assert!(time_or_never(text).is_err(), "{text:?}");
        }
        assert!(time("0s").is_err());
    }

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn sizes() {
        assert_eq!(file_size("100"), Ok(100_000_000));
        assert_eq!(file_size("64k"), Ok(65_536));
        assert_eq!(file_size("1G"), Ok(1 << 30));
        assert_eq!((size_or_none("0"), size_or_none("16m")), (Ok(0), Ok(16 << 20)));
        for text in ["", "k", "0", "0m", "-1", "1.5", "99999999999999g", "1kk", "é"] {
            assert!(file_size(text).is_err(), "{text:?}");
        }
    }
}
