//! `wharf filter`: say what an expression means, show its program, and try it on a capture.

use crate::args;
use crate::exit::{Outcome, TABLE};
use crate::expression::{self, ExpressionArgs, Fault};
use crate::print::print;
use anyhow::bail;
use clap::{ArgAction, Args};
use serde::Serialize;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use wharf::filter::bpf::{Form, Program};
use wharf::filter::{Filter, Matcher, ProgramError};
use wharf::frame::{Direction, Frame, LinkType};
use wharf::source::{BATCH, CaptureFile, Fill, Source};
use wharf::sys::classic_bpf::Seen;

/// As tcpdump's programs give it.
const WHOLE: u32 = 262_144;
/// `PACKET_OUTGOING`.
const OUTGOING: u32 = 4;

/// Say in words what a filter expression means; show its BPF program; try both on a capture file.
///
/// The language is that of pcap-filter(7), and so is the meaning. Where libpcap's is one nobody can have meant,
/// docs/filters.md and the library's documentation say what wharf does.
#[derive(Args, Debug)]
#[command(after_help = format!("\
Examples:
  wharf filter 'tcp port 80 or 443'             what it means
  wharf filter -d 'vlan 100 and host 10.0.0.1'  its program, as tcpdump -d does
  wharf filter -d --live 'vlan 100'             the one for the kernel
  wharf filter -y RAW -ddd tcp                  numbers, for iptables or tc
  tcpdump -ddd arp | wharf filter -d -F -       a program of numbers, read
  wharf filter -r all.pcapng udp                how many match, here and in BPF

{TABLE}"))]
pub(crate) struct FilterArgs {
    #[command(flatten)]
    expression: ExpressionArgs,

    /// Print the program in BPF; twice as C, three times as numbers
    #[arg(short, long, action = ArgAction::Count)]
    dump: u8,

    /// Link type of the frames, such as ETHERNET, LINUX_SLL2, RAW
    #[arg(short = 'y', long, value_name = "NAME", default_value = "ETHERNET", value_parser = expression::link_type)]
    #[arg(conflicts_with = "read")]
    linktype: LinkType,

    /// The program for the kernel, which keeps the outermost VLAN tag beside the frame
    #[arg(long)]
    live: bool,

    /// How much of a matching packet the program keeps, with -d or --json [default: all]
    #[arg(short, long, value_name = "BYTES", conflicts_with = "read")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    snapshot_length: Option<u32>,

    /// Count the packets of a capture file that match, by the evaluator and by BPF
    #[arg(short, long, value_name = "FILE", conflicts_with_all = ["dump", "live"])]
    read: Option<PathBuf>,

    /// Print everything as a JSON object
    #[arg(long, conflicts_with = "dump")]
    json: bool,
}

/// What is known of a filter, for machines.
#[derive(Serialize)]
struct Account<'a> {
    expression: &'a str,
    meaning: Vec<String>,
    link_type: String,
    /// Four numbers an instruction.
    program: Option<Vec<[u32; 4]>>,
    /// Why there is no program.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    capture: Option<Trial>,
}

/// How a filter did on a capture.
#[derive(Default, Serialize)]
struct Trial {
    packets: u64,
    /// By the evaluator.
    matched: u64,
    /// By BPF; fewer packets where there is no program for their link type.
    matched_by_bpf: u64,
    /// Packets on which the two were both asked.
    compared: u64,
    /// Numbers of packets over which they differ: the first of them.
    differences: Vec<u64>,
    /// Packets on whose link type it has no meaning.
    without_meaning: u64,
}

pub(crate) fn run(arguments: FilterArgs) -> anyhow::Result<Outcome> {
    let FilterArgs { expression, dump, linktype, live, snapshot_length, read, json } = arguments;
    let Some(filter) = expression.filter()? else {
        bail!(args::usage("which expression? give one, such as 'tcp port 80', or a file of one with -F"));
    };
    if snapshot_length.is_some() && dump == 0 && !json {
        bail!(args::usage("-s is of the program, which -d and --json show"));
    }
    let snapshot_length = snapshot_length.unwrap_or(WHOLE);
    let program = match live {
        true => filter.socket_program(linktype, snapshot_length),
        false => filter.program(linktype, snapshot_length),
    };
    let form = match dump {
        0 | 1 => Form::Assembly,
        2 => Form::C,
        _ => Form::Decimal,
    };
    if dump > 0 {
        print(meant(program)?.show(form))?;
        return Ok(Outcome::Done);
    }
    let trial = read.as_deref().map(|path| attempt(&filter, path)).transpose()?;
    if json {
        // In a capture other link types are asked for.
        let program = if trial.is_some() { Ok(program.ok()) } else { program.map(Some) };
        let (program, problem) = match program {
            Ok(program) => (program, None),
            Err(error) => (None, Some(error.to_string())),
        };
        let instructions = program.map(|program| {
            let four = |i: &wharf::sys::classic_bpf::Instruction| {
                [i.code.into(), i.then.into(), i.otherwise.into(), i.constant]
            };
            program.instructions().iter().map(four).collect()
        });
        let account = Account {
            expression: filter.text(),
            meaning: filter.explain().lines().map(str::to_owned).collect(),
            link_type: linktype.to_string(),
            program: instructions,
            problem,
            capture: trial,
        };
        print(serde_json::to_string(&account)? + "\n")?;
        return Ok(Outcome::Done);
    }
    let mut text = filter.explain();
    match (&trial, program) {
        (Some(trial), _) => describe(&mut text, trial),
        (None, Ok(program)) => {
            let count = program.instructions().len();
            let plural = if count == 1 { "" } else { "s" };
            let _ = writeln!(text, "on {linktype}: {count} instruction{plural} of BPF (-d shows them)");
        }
        (None, Err(ProgramError::Meaning(error))) => {
            let _ = writeln!(text, "on {linktype} it has no meaning: {error}");
        }
        (None, Err(error)) => {
            let _ = writeln!(text, "on {linktype}: no program for the kernel: {error}");
        }
    }
    print(text)?;
    match trial {
        Some(trial) if !trial.differences.is_empty() => {
            bail!("the evaluator and BPF differ over packets {:?}: a defect of wharf", trial.differences)
        }
        _ => Ok(Outcome::Done),
    }
}

/// A missing meaning shown at its place.
fn meant(program: Result<Program, ProgramError>) -> anyhow::Result<Program> {
    match program {
        Err(ProgramError::Meaning(error)) => Err(Fault(error).into()),
        other => Ok(other?),
    }
}

fn describe(text: &mut String, trial: &Trial) {
    let Trial { packets, matched, matched_by_bpf, compared, differences, without_meaning } = trial;
    let _ = writeln!(text, "{matched} of {packets} packets match");
    let agree = if differences.is_empty() { "agree" } else { "DIFFER" };
    if *compared > 0 || *packets == 0 {
        let _ = writeln!(text, "{matched_by_bpf} of {compared} match in BPF: the two {agree}");
    }
    if *without_meaning > 0 {
        let _ = writeln!(text, "{without_meaning} packets are of a link type on which it has no meaning");
    }
}

/// Asks every packet of a capture twice.
fn attempt(filter: &Filter, path: &Path) -> anyhow::Result<Trial> {
    let mut file = if path == "-" { CaptureFile::stdin()? } else { CaptureFile::open(path)? };
    let mut trial = Trial::default();
    let mut known: Vec<(LinkType, Option<Matcher>, Option<Program>)> = Vec::new();
    let mut fault = None;
    loop {
        let batch = match file.fill(BATCH)? {
            Fill::Batch(batch) => batch,
            Fill::Idle => continue,
            Fill::End => break,
        };
        for frame in batch.frames() {
            let link_type = frame.record.link_type;
            let place = known.iter().position(|(known, ..)| *known == link_type).unwrap_or_else(|| {
                let matcher = filter.on(link_type).map_err(|error| fault = Some(error)).ok();
                // Where it is a program, there is nothing to compare it with.
                let is_program = filter.given_program().is_some();
                let program = (!is_program).then(|| filter.program(link_type, WHOLE).ok()).flatten();
                known.push((link_type, matcher, program));
                known.len() - 1
            });
            let (_, matcher, program) = &known[place];
            trial.ask(&frame, matcher.as_ref(), program.as_ref());
        }
    }
    match fault {
        Some(fault) if trial.without_meaning == trial.packets => Err(Fault(fault).into()),
        _ => Ok(trial),
    }
}

impl Trial {
    fn ask(&mut self, frame: &Frame<'_>, matcher: Option<&Matcher>, program: Option<&Program>) {
        self.packets += 1;
        let Some(matcher) = matcher else {
            self.without_meaning += 1;
            return;
        };
        let matches = matcher.matches(frame);
        self.matched += u64::from(matches);
        let Some(program) = program else { return };
        let seen = Seen {
            bytes: frame.data,
            wire_length: Some(frame.record.wire_length),
            packet_type: if frame.record.direction == Direction::Out { OUTGOING } else { 0 },
            interface: frame.record.interface.0,
            ..Seen::default()
        };
        let by_bpf = program.run(&seen) > 0;
        self.compared += 1;
        self.matched_by_bpf += u64::from(by_bpf);
        if by_bpf != matches && self.differences.len() < 10 {
            self.differences.push(frame.record.number);
        }
    }
}
