//! wharf's hot core beside the crates that do the same, in one process, interleaved.
//!
//!     wharf-peers [--rounds N] [--cores A,B] [--tsv FILE] [--check] [MODULE...]
//!
//! Modules: checksum, ring, parse, growth, capture_read, filter, flow. Without one, all. Exits with 1 when an owed ratio does not hold. `--check` runs every contestant
//! once over little work, for the sake of the answers it asserts, and judges no ratio.

mod capture_bound;
mod capture_read;
mod checksum;
mod contest;
mod filter;
mod flow;
mod parse;
mod ring;

use std::process::ExitCode;

use contest::{Contest, Setup, Table};

/// A part of the core: its name and what it has to show.
type Module = (&'static str, fn(&Setup) -> Vec<Contest>);

const MODULES: &[Module] = &[
    ("checksum", checksum::contests),
    ("ring", ring::contests),
    ("parse", parse::contests),
    ("growth", parse::growth),
    ("capture_read", capture_read::contests),
    ("filter", filter::contests),
    ("flow", flow::contests),
];

fn main() -> ExitCode {
    if let [_, flag, kind, flows] = &std::env::args().collect::<Vec<_>>()[..]
        && flag == flow::RESIDENT
    {
        println!("{}", flow::resident(kind, flows.parse().expect("a number of flows")));
        return ExitCode::SUCCESS;
    }
    let mut setup = Setup { cores: [0, 1], rounds: 15, scale: 1.0 };
    let mut tsv = None;
    let mut check = false;
    let mut wanted = Vec::new();
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let mut value = || args.next().unwrap_or_else(|| panic!("{arg} needs a value"));
        match arg.as_str() {
            "--rounds" => setup.rounds = value().parse().expect("--rounds takes a number"),
            "--cores" => {
                let cores: Vec<usize> =
                    value().split(',').map(|core| core.parse().expect("--cores takes two numbers")).collect();
                setup.cores = cores.try_into().expect("--cores takes two numbers");
            }
            "--tsv" => tsv = Some(value()),
            "--check" => check = true,
            _ => wanted.push(arg),
        }
    }
    if check {
        setup = Setup { rounds: 1, scale: 0.01, ..setup };
    }
    if let Some(unknown) = wanted.iter().find(|name| MODULES.iter().all(|(known, _)| known != name)) {
        panic!("no module is called {unknown}");
    }

    let mut table = Table::default();
    for (name, contests) in MODULES {
        if wanted.is_empty() || wanted.iter().any(|wanted| wanted == name) {
            for contest in contests(&setup) {
                table.add(contest.run(setup.rounds));
            }
        }
    }
    table.sum_up("ns a frame: ", "ns a frame, medians of all", 3.0);
    println!("{table}");
    if let Some(path) = tsv {
        std::fs::write(&path, table.tsv()).unwrap_or_else(|error| panic!("cannot write {path}: {error}"));
    }
    if check || table.holds() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
