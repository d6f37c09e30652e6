//! `wharf bench`: how fast the line is in memory, on this machine.

mod frames;
mod line;
mod machine;
mod one_core;
mod report;
mod scaling;
mod shape;
mod table;
mod timing;

use crate::args;
use crate::cores::{self, CoreList};
use crate::exit::{Outcome, TABLE};
use crate::print::print;
use crate::time::time_within;
use clap::Args;
use machine::Machine;
use one_core::Place;
use report::Report;
use shape::Rules;
use std::io::{IsTerminal, Write, stderr};
use std::ops::RangeInclusive;
use std::thread;
use std::time::Duration;
use timing::{ROUNDS, RUNS};
use wharf::engine::check_cores;

/// Measure how fast packets are parsed, verified, told apart by port and counted, in memory, on this machine.
///
/// Nothing is captured: frames are made up and lie in memory, so that the figures are those of the stages alone, by
/// kind of traffic, on one core and on several. Every answer is compared with what was made. Figures are medians of
/// rounds; ± is half the distance between the quartiles. A machine that is busy gives other figures.
#[derive(Args, Debug)]
#[command(after_help = format!("\
Examples:
  wharf bench
  wharf bench --cores 2-5 --seconds 20
  wharf bench --rules 65536 --flows 4096
  wharf bench --json | jq '.one_core[] | {{shape, working_set, mpps}}'
  WHARF_CHECKSUM=avx2 wharf bench

Columns:
  hand-over     a batch is made and handed on; nobody looks at a frame
  parse+verify  headers found, checksums verified (hand-over included)
  demux         ports to output, by a map of all rules
  count         packets and bytes by output
  all           one after the other, batch by batch
  engine        whole runs: source, all of these, counts by port, the ledger

{TABLE}"))]
pub(crate) struct BenchArgs {
    /// Measure for about so long in all; making the frames takes a second or so more
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = time_within(BOUNDS))]
    seconds: Duration,

    /// CPUs to measure on, such as 2 or 0-3,5; one core is the first of them [default: all that may be used]
    #[arg(long, value_name = "LIST", value_parser = cores::list)]
    cores: Option<CoreList>,

    /// Port rules, one for each of the lowest ports
    #[arg(long, value_name = "N", default_value = "1024", value_parser = clap::value_parser!(u32).range(0..=65_536))]
    rules: u32,

    /// Flows, each with addresses and ports of its own
    #[arg(long, value_name = "N", default_value = "1024", value_parser = clap::value_parser!(u32).range(1..=4_096))]
    flows: u32,

    /// Memory for those frames of a core that shall not lie in a cache: millions of bytes, or with k, m or g
    /// [default: twice the caches of the last level]
    #[arg(long, value_name = "SIZE", value_parser = args::file_size)]
    memory: Option<u64>,

    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

/// Less than this is not worth a figure, more than this a typing error.
const BOUNDS: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(3_600);

pub(crate) fn run(arguments: BenchArgs) -> anyhow::Result<Outcome> {
    let cores = match arguments.cores {
        Some(CoreList(cores)) => cores,
        None => machine::allowed()?,
    };
    // Before anything is measured.
    check_cores(&cores)?;

    let machine = Machine::here();
    let memory = Memory::of(&machine, arguments.memory, cores.len());
    let report = measure(machine, cores, Rules(arguments.rules), arguments.flows, memory, arguments.seconds)?;
    print(if arguments.json { report.json()? } else { table::of(&report) })?;
    Ok(Outcome::Done)
}

/// Bytes of frames that shall not lie in a cache.
struct Memory {
    /// Of one core that has all caches to itself.
    alone: usize,
    /// Of each, where all cores are at work.
    each: usize,
}

impl Memory {
    /// As `asked`, or twice what caches hold; but no more than half of what there is.
    fn of(machine: &Machine, asked: Option<u64>, cores: usize) -> Self {
        let asked = asked.map(|size| usize::try_from(size).unwrap_or(usize::MAX));
        let alone = asked.unwrap_or(2 * machine.last_level);
        // Twice what lies in the cache of its own corner; together, of a large machine's cores, that is far more than enough.
        let each = asked.unwrap_or((alone / cores).max(2 * machine.last_level_one));
        let most = machine.available / 2;
        Self { alone: alone.min(most), each: each.min(most / cores) }
    }
}

/// The shapes that are also measured on several cores, and whole runs of which are: the plainest one and a mix.
const ON_SEVERAL: usize = 2;

fn measure(
    machine: Machine,
    cores: Vec<usize>,
    rules: Rules,
    flows: u32,
    memory: Memory,
    time: Duration,
) -> anyhow::Result<Report> {
    let map = rules.map();
    let shapes = shape::all(machine.l2, flows);
    let (rounds, runs) = (ROUNDS as u32, RUNS as u32);
    let on_several = (ON_SEVERAL * scaling::steps(cores.len()).len()) as u32;
    // Tenths of the time: for one core, for several, for the engine.
    let shares = if cores.len() > 1 { [4, 2, 4] } else { [7, 0, 3] };
    let parts = [shapes.len() as u32 * one_core::PIECES * rounds, 2 * on_several * rounds, on_several * runs];
    let [single, several, whole] = std::array::from_fn(|part| time * shares[part] / 10 / parts[part]);

    let first = cores[0];
    let one_core = thread::scope(|scope| {
        let work = || -> anyhow::Result<Vec<_>> {
            cores::pin(first)?;
            let mut slab = Vec::new();
            let mut cases = Vec::new();
            for shape in &shapes {
                progress(&format!("{} on CPU {first}", shape.name));
                cases.extend(one_core::measure(shape, rules, &map, memory.alone, single, &mut slab));
            }
            Ok(cases)
        };
        scope.spawn(work).join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })?;
    let mut scaling = Vec::new();
    for shape in &shapes[..ON_SEVERAL] {
        // On one core that has been measured above.
        for place in [(Place::Cache, 0), (Place::Memory, memory.each)].into_iter().filter(|_| cores.len() > 1)
        {
            progress(&format!("{} on {} CPUs", shape.name, cores.len()));
            scaling.push(scaling::in_memory(shape, place, rules, &map, &cores, several)?);
        }
        progress(&format!("{} through the engine", shape.name));
        scaling.push(scaling::through_engine(shape, rules, &cores, whole)?);
    }
    progress("");
    Ok(Report { machine, cores, rules: rules.0, flows, one_core, scaling })
}

/// Says on standard error what is being done, where somebody sits and waits; in place of what was said before.
fn progress(what: &str) {
    if stderr().is_terminal() {
        let _ = write!(stderr(), "\r\x1b[K{what}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_twice_the_caches_or_half_of_what_there_is() {
        let machine =
            |available| Machine { cpu: None, l2: 1, last_level: 400, last_level_one: 100, available };
        let memory = |available, asked, cores| {
            let memory = Memory::of(&machine(available), asked, cores);
            (memory.alone, memory.each)
        };
        assert_eq!(memory(10_000, None, 2), (800, 400));
        assert_eq!(memory(10_000, None, 16), (800, 200));
        assert_eq!(memory(1_000, None, 5), (500, 100));
        assert_eq!(memory(10_000, Some(50), 2), (50, 50));
    }
}
