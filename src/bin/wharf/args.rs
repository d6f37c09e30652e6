//! The command line as a whole, and the values that several subcommands take.

#[cfg(feature = "proxy")]
use crate::proxy;
use crate::{
    bench, completions, demo, dns, doctor, exit, filter, flows, follow, generate, interfaces, man, sniff,
    split,
};
use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, Subcommand};

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

#[cfg(test)]
mod tests {
    use super::*;

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
