//! The command line as a whole, and the values that several subcommands take.

#[cfg(feature = "proxy")]
use crate::proxy;
use crate::{
    bench, completions, demo, dns, doctor, exit, filter, flows, follow, generate, interfaces, man, sniff,
    split,
};
use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, Subcommand};
use std::num::IntErrorKind;

/// Capture packets, or read them from capture files: print them, count them, sort them into files by port; send some;
/// proxy ports.
#[derive(Debug, Parser)]
#[command(name = "wharf", version, arg_required_else_help = true, max_term_width = 100)]
#[command(after_help = format!("{}{}\n\n{}", exit::TABLE, exit::ANY, exit::ENVIRONMENT))]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Sniff(Box<sniff::SniffArgs>),
    Split(Box<split::SplitArgs>),
    Dns(Box<dns::DnsArgs>),
    Follow(Box<follow::FollowArgs>),
    Flows(Box<flows::FlowsArgs>),
    Filter(filter::FilterArgs),
    Interfaces(interfaces::InterfacesArgs),
    Demo(demo::DemoArgs),
    Doctor(doctor::DoctorArgs),
    Gen(Box<generate::GenArgs>),
    #[cfg(feature = "proxy")]
    Proxy(Box<proxy::ProxyArgs>),
    Bench(bench::BenchArgs),
    Completions(completions::CompletionsArgs),
    Man(man::ManArgs),
}

/// Wrong arguments that only a second look finds.
pub(crate) fn usage(what: &str) -> clap::Error {
    Arguments::command().error(ErrorKind::ValueValidation, what)
}

/// The kind of what [`of_a_file`] makes; clap makes none of it here.
pub(crate) const OF_A_FILE: ErrorKind = ErrorKind::Format;

/// A file that the arguments name and that says what is wrong on any machine.
#[cfg(feature = "proxy")]
pub(crate) fn of_a_file(what: &str) -> clap::Error {
    Arguments::command().error(OF_A_FILE, what)
}

/// Why a text is no [scaled] number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unscaled {
    Malformed,
    Zero,
    TooMuch,
}

impl Unscaled {
    /// What is wrong; `wanted` is what would be right.
    pub(crate) fn told(self, wanted: &str) -> String {
        match self {
            Self::Malformed => format!("not a {wanted}"),
            Self::Zero => format!("not above 0: give a {wanted}"),
            Self::TooMuch => "more than can be counted".to_owned(),
        }
    }
}

/// A number of `bare`, or with `k`, `m` or `g` of the first, second or third power of `thousand`. Not 0.
pub(crate) fn scaled(text: &str, bare: u64, thousand: u64) -> Result<u64, Unscaled> {
    let (digits, unit) = match text.char_indices().last() {
        Some((at, 'k' | 'K')) => (&text[..at], thousand),
        Some((at, 'm' | 'M')) => (&text[..at], thousand.pow(2)),
        Some((at, 'g' | 'G')) => (&text[..at], thousand.pow(3)),
        _ => (text, bare),
    };
    let number = digits.parse::<u64>().map_err(|error| match error.kind() {
        IntErrorKind::PosOverflow => Unscaled::TooMuch,
        _ => Unscaled::Malformed,
    })?;
    match number.checked_mul(unit) {
        Some(0) => Err(Unscaled::Zero),
        product => product.ok_or(Unscaled::TooMuch),
    }
}

/// `1000`, `10k`, `1M`, `2G`: decimal units.
pub(crate) fn count(text: &str) -> Result<u64, String> {
    scaled(text, 1, 1_000).map_err(|why| why.told("count such as 1000, 10k or 1M"))
}

/// Whole seconds, as tcpdump's -G takes them: without a unit.
pub(crate) fn seconds(text: &str) -> Result<u64, String> {
    let seconds = text.parse().ok().filter(|seconds| *seconds > 0);
    seconds.ok_or_else(|| "not a number of seconds such as 60 or 3600 (without a unit)".to_owned())
}

/// A size as tcpdump's -C takes it: millions of bytes, or with `k`, `m` or `g` binary thousands,
/// millions, milliards of them.
pub(crate) fn file_size(text: &str) -> Result<u64, String> {
    scaled(text, 1_000_000, 1 << 10)
        .map_err(|why| why.told("size such as 100 (million bytes), 64k, 16m or 1g"))
}

/// The same, where 0 stands for none.
pub(crate) fn size_or_none(text: &str) -> Result<u64, String> {
    if text == "0" { Ok(0) } else { file_size(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    /// What is laid out by blanks would lose its shape where it is wrapped; paragraphs are wrapped for their reader.
    #[test]
    fn what_stands_below_the_options_fits_a_terminal() {
        let mut command = Arguments::command();
        command.build();
        for command in std::iter::once(&command).chain(command.get_subcommands()) {
            let text = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            for paragraph in text.split("\n\n").filter(|paragraph| paragraph.contains('\n')) {
                for line in paragraph.lines() {
                    assert!(line.chars().count() < 80, "{}: {line}", command.get_name());
                }
            }
        }
    }

    #[test]
    fn counts() {
        for (text, expected) in [("1", 1), ("10k", 10_000), ("3M", 3_000_000), ("1g", 1_000_000_000)] {
            assert_eq!(count(text), Ok(expected));
        }
        for text in ["", "k", "-1", "x", "1kk", "1e3", "é"] {
            assert_eq!(scaled(text, 1, 1_000), Err(Unscaled::Malformed), "{text:?}");
        }
        for text in ["0", "0k"] {
            assert_eq!(scaled(text, 1, 1_000), Err(Unscaled::Zero), "{text:?}");
        }
        for text in
            ["99999999999999999999", "99999999999999999999g", "18446744073709551616", "18446744073709552k"]
        {
            assert_eq!(scaled(text, 1, 1_000), Err(Unscaled::TooMuch), "{text:?}");
        }
        assert_eq!(count("18446744073709551615"), Ok(u64::MAX));
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
