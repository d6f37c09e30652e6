//! The `wharf` command: parse the arguments, run the subcommand, turn what came of it into an exit code.

mod args;
mod at_most;
mod bench;
mod colour;
mod completions;
mod cores;
mod counted;
mod demo;
mod dns;
mod doctor;
mod exit;
mod exports;
mod expression;
mod files;
mod filter;
mod flows;
mod follow;
mod generate;
mod habits;
mod input;
mod interfaces;
mod link_types;
mod live;
mod man;
mod news;
mod output;
mod print;
mod progress;
#[cfg(feature = "proxy")]
mod proxy;
mod run;
mod signals;
mod sniff;
mod split;
mod stats;
mod terminal;
mod time;
mod trouble;
mod wish;
mod wrong_arguments;
#[cfg(feature = "xdp")]
mod xdp;

use args::Command;
use clap::Parser;
use std::process::ExitCode;
use wharf::checksum::Variant;

fn main() -> ExitCode {
    let arguments = match args::Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return wrong_arguments::told(&error),
    };
    // Said here: deep in the library it could only panic.
    if let Err(error) = Variant::from_environment() {
        return exit::bad_environment(&error);
    }
    exit::code(match arguments.command {
        Command::Sniff(arguments) => sniff::run(*arguments),
        Command::Split(arguments) => split::run(*arguments),
        Command::Dns(arguments) => dns::run(*arguments),
        Command::Follow(arguments) => follow::run(*arguments),
        Command::Flows(arguments) => flows::run(*arguments),
        Command::Filter(arguments) => filter::run(arguments),
        Command::Interfaces(arguments) => interfaces::run(arguments),
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Doctor(arguments) => doctor::run(arguments),
        Command::Gen(arguments) => generate::run(*arguments),
        #[cfg(feature = "proxy")]
        Command::Proxy(arguments) => proxy::run(*arguments),
        Command::Bench(arguments) => bench::run(arguments),
        Command::Completions(arguments) => completions::run(arguments),
        Command::Man(arguments) => man::run(arguments),
    })
}
