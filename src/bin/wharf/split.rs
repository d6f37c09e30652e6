//! `wharf split`: sort packets into capture files by port.

use crate::args;
use crate::exit::{Outcome, STRICT, TABLE};
use crate::expression::ExpressionArgs;
use crate::files::{self, FormatArgs};
use crate::input::InputArgs;
use crate::link_types::LinkTypeNotes;
use crate::print::print;
use crate::run;
use crate::wish::Wish;
use anyhow::bail;
use clap::Args;
use std::collections::HashSet;
use std::path::PathBuf;
use std::str::FromStr;
use wharf::demux::{Rule, RuleError};
use wharf::sink::{CaptureFormat, Split, Tee, Template};

/// Sort packets into capture files: by rules, or a file for each protocol and port.
///
/// A rule is a protocol and ports: tcp/443, udp/53, tcp/80,443,8000-8999, sctp/2905, any/53. A packet belongs to a
/// rule when either of its ports does; the destination port is asked first. Any other rule is a filter expression,
/// such as 'tcp port 443 and net 10.0.0.0/8'. Where two rules fit a packet, the first one has it. Fragments but the
/// first, and what has no ports, go to --rest. Of a live capture without --rest and --each the kernel leaves out
/// what no rule names, where it can tell: that costs nothing, and is not counted.
#[derive(Args, Debug)]
#[command(after_help = format!("\
Examples:
  wharf split -r all.pcapng --to tcp/80,443=web.pcapng --rest other.pcapng
  wharf split -r all.pcapng --each 'by-port/{{proto}}-{{port}}.pcapng'
  wharf split -i eth0 --to udp/53=dns.pcapng --strict
  wharf split -r all.pcapng --to 'icmp or icmp6=icmp.pcapng'
  wharf split -r all.pcapng --each '{{port}}.pcapng' not net 10.0.0.0/8

{TABLE}{STRICT}"))]
pub(crate) struct SplitArgs {
    #[command(flatten)]
    input: InputArgs,

    #[command(flatten)]
    expression: ExpressionArgs,

    /// Write packets that RULE names to FILE; may be given many times
    #[arg(long, value_name = "RULE=FILE", help_heading = "Output")]
    to: Vec<Target>,

    /// Write packets that no rule names to FILE; without it they are left out, and counted
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    rest: Option<PathBuf>,

    /// Write a file for each protocol and port; with --to, for what no rule names
    ///
    /// Placeholders: {proto}, {port} (the smaller of the two), {sport}, {dport}, {vlan}, {interface}.
    /// Directories are created as needed.
    #[arg(long, value_name = "TEMPLATE", conflicts_with = "rest", help_heading = "Output")]
    each: Option<Template>,

    /// Keep at most N files of --each open at a time
    #[arg(long, value_name = "N", requires = "each", default_value_t = 200, help_heading = "Output")]
    #[arg(value_parser = clap::value_parser!(u16).range(1..), conflicts_with = "rest")]
    max_open: u16,

    /// Print the account of what went where as JSON on standard output
    #[arg(long, help_heading = "Output")]
    json: bool,

    #[command(flatten, next_help_heading = "Output")]
    format: FormatArgs,
}

/// `RULE=FILE`.
#[derive(Clone, Debug)]
struct Target {
    rule: Rule,
    file: PathBuf,
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (rule, file) = text.split_once('=').ok_or("expected RULE=FILE, such as tcp/443=tls.pcapng")?;
        let (rule, file) = match rule.parse() {
            // A file's name may have a `=` in it.
            Ok(rule @ (Rule::Ports(_) | Rule::Rest)) => (rule, file),
            // And so may a filter: the last one is before the file.
            _ => {
                let (rule, file) = text.rsplit_once('=').unwrap_or((rule, file));
                (rule.parse().map_err(|error: RuleError| error.to_string())?, file)
            }
        };
        if file.is_empty() {
            return Err("no file behind the `=`".to_owned());
        }
        Ok(Self { rule, file: file.into() })
    }
}

pub(crate) fn run(arguments: SplitArgs) -> anyhow::Result<Outcome> {
    let SplitArgs { input, expression, to, rest, each, max_open, json, format } = arguments;
    let rest = rest.map(|file| Target { rule: Rule::Rest, file });
    let mut targets: Vec<Target> = to.into_iter().chain(rest).collect();
    if targets.is_empty() && each.is_none() {
        bail!(args::usage("nowhere to put packets: give --to RULE=FILE, --rest FILE or --each TEMPLATE"));
    }
    let mut files = HashSet::new();
    for Target { file, .. } in &targets {
        if !files.insert(std::path::absolute(file)?) {
            bail!(args::usage(&format!("{}: named twice; join the rules in one", file.display())));
        }
        files::refuse_terminal(file)?;
        files::refuse_input(file, &input)?;
        format.check_comment(CaptureFormat::of(file), file.display())?;
    }
    if let Some(template) = &each {
        format.check_comment(template.format(), "--each")?;
    }
    for target in &mut targets {
        target.rule = input.rule_in_network(target.rule.clone());
    }
    let rules = targets.iter().map(|target| target.rule.clone()).collect();
    let wish = if each.is_some() { Wish::default() } else { Wish::of(rules) };
    let wish = wish.matching(expression.filter()?);
    let (mut builder, watched) = input.builder(&wish)?;
    let mut options = format.options(&input);
    for Target { rule, file } in targets {
        let writer = files::create(options.clone(), &file, &input)?;
        options = options.spare(file);
        builder = match rule {
            // What is not known has no ports.
            Rule::Rest => builder.rest(Tee(LinkTypeNotes::default(), writer)),
            Rule::Ports(_) | Rule::Filter(_) => builder.output(rule, writer),
        };
    }
    if let Some(template) = each {
        let files = Split::new(template).options(options).open_files(max_open.into());
        builder = builder.rest(Tee(LinkTypeNotes::default(), files));
    }
    let ended = run::drive(builder, watched, false);
    let report = ended.json().map(|report| report.filter(|_| json));
    let printed = report.and_then(|report| report.map_or(Ok(()), |report| print(report + "\n")));
    ended.conclude_after(printed)
}
