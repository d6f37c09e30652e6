//! Filter expressions, as the command line gives them.

use crate::args;
use anyhow::{Context, bail};
use clap::Args;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::{fs, io};
use wharf::filter::bpf::Program;
use wharf::filter::{self, Filter};
use wharf::frame::LinkType;

/// Bytes of a filter file that are read: more than any expression may have.
const MOST: u64 = 1 << 20;

#[derive(Args, Debug)]
pub(crate) struct ExpressionArgs {
    /// Only packets that match: an expression of pcap-filter(7), such as `tcp port 80 or 443`
    ///
    /// `wharf filter EXPRESSION` says in words what it means.
    #[arg(value_name = "EXPRESSION")]
    expression: Vec<OsString>,

    /// Read the expression from FILE, `-` for standard input; what stands behind a `#` is a comment
    ///
    /// Or a program of classic BPF, in the numbers that `tcpdump -ddd` and `wharf filter -ddd` print: how many
    /// instructions, and four numbers each. It is for one link type, and nobody can tell here which.
    #[arg(short = 'F', long, value_name = "FILE", conflicts_with = "expression", help_heading = "Input")]
    filter_file: Option<PathBuf>,
}

impl ExpressionArgs {
    /// The filter, if there is one.
    pub(crate) fn filter(&self) -> anyhow::Result<Option<Filter>> {
        let text = match &self.filter_file {
            Some(path) => {
                let text = read(path)?;
                if Program::is_meant_by(&text) {
                    let program = Program::read(&text);
                    let of = || format!("{}: the BPF program", path.display());
                    return Ok(Some(
                        program.map_err(|error| args::usage(&format!("{}: {error}", of())))?.into(),
                    ));
                }
                text
            }
            None if self.expression.is_empty() => return Ok(None),
            None => joined(&self.expression)?,
        };
        match text.parse() {
            Ok(filter) => Ok(Some(filter)),
            Err(fault) => match self.expression.iter().find(|word| is_capture(word)) {
                Some(file) => {
                    let file = file.to_string_lossy();
                    bail!(args::usage(&format!(
                        "{file} is a file, not an expression: did you mean -r {file}?"
                    )))
                }
                None => Err(Fault(fault).into()),
            },
        }
    }
}

/// Whether a word that makes no expression is a file, or meant for one.
fn is_capture(word: &OsStr) -> bool {
    let path = Path::new(word);
    let extension = path.extension().and_then(OsStr::to_str);
    path.is_file() || matches!(extension, Some("pcap" | "pcapng" | "cap" | "dmp"))
}

fn joined(words: &[OsString]) -> anyhow::Result<String> {
    let mut text = Vec::new();
    for word in words {
        let Some(word) = word.to_str() else {
            bail!(args::usage(&format!("the filter expression is not UTF-8: {}", word.to_string_lossy())));
        };
        text.push(word);
    }
    Ok(text.join(" "))
}

fn read(path: &PathBuf) -> anyhow::Result<String> {
    let mut bytes = Vec::new();
    let read = if path.as_os_str() == "-" {
        io::stdin().lock().take(MOST).read_to_end(&mut bytes)
    } else {
        fs::File::open(path).and_then(|file| file.take(MOST).read_to_end(&mut bytes))
    };
    read.with_context(|| format!("{}: cannot read the filter", path.display()))?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let byte = error.utf8_error().valid_up_to() + 1;
        args::usage(&format!("{}: the filter is not UTF-8 from byte {byte} on", path.display()))
    })?;
    // Blanks in place of comments leave every column where it is.
    let lines = text.lines().map(|line| match line.split_once('#') {
        Some((kept, comment)) => format!("{kept}{}", " ".repeat(comment.chars().count() + 1)),
        None => line.to_owned(),
    });
    Ok(lines.collect::<Vec<_>>().join("\n").trim_end().to_owned())
}

/// What is wrong with an expression: told in one line, with the place shown below.
#[derive(Debug)]
pub(crate) struct Fault(pub(crate) filter::Error);

impl Fault {
    /// The line of the expression, and marks below it.
    pub(crate) fn excerpt(&self) -> &str {
        self.0.excerpt()
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "filter expression, {}", self.0)
    }
}

impl std::error::Error for Fault {}

/// A link type by its name in the registry, by tcpdump's, or by its number.
pub(crate) fn link_type(text: &str) -> Result<LinkType, String> {
    let name = text.strip_prefix("DLT_").unwrap_or(text).to_ascii_uppercase();
    let by_tcpdump = match name.as_str() {
        "EN10MB" => Some(LinkType::ETHERNET),
        "IEEE802_11_RADIO" => Some(LinkType::IEEE802_11_RADIOTAP),
        "IEEE802_11_RADIO_AVS" => Some(LinkType::IEEE802_11_AVS),
        "PRISM_HEADER" => Some(LinkType::IEEE802_11_PRISM),
        "IEEE802" => Some(LinkType::TOKEN_RING),
        "ARCNET" => Some(LinkType::ARCNET),
        "PPP_SERIAL" => Some(LinkType::PPP_HDLC),
        _ => None,
    };
    by_tcpdump
        .or_else(|| LinkType::named(&name))
        .or_else(|| text.parse().ok().map(LinkType))
        .ok_or_else(|| "not a link type such as ETHERNET, LINUX_SLL2, RAW, or a number".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn link_types_by_any_of_their_names() {
        for (text, expected) in [
            ("EN10MB", LinkType::ETHERNET),
            ("ethernet", LinkType::ETHERNET),
            ("LINKTYPE_RAW", LinkType::RAW),
            ("DLT_PRISM_HEADER", LinkType::IEEE802_11_PRISM),
            ("276", LinkType::LINUX_SLL2),
        ] {
            assert_eq!(link_type(text), Ok(expected), "{text}");
        }
        assert!(link_type("etherned").is_err() && link_type("65536").is_err());
    }

    #[test]
    fn comments_leave_columns_where_they_are() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("filter");
        fs::write(&path, "tcp # all of it\n  and prot 80 # é\n\n").unwrap();
        let error = read(&path).unwrap().parse::<Filter>().unwrap_err();
        assert_eq!((error.line(), error.column(), error.hint()), (2, 7, Some("did you mean `port`?")));
        fs::write(&path, b"tcp \xff").unwrap();
        assert!(read(&path).is_err());
    }
}
