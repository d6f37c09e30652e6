//! `wharf man`: the manual pages, made from the same text as `--help`.

use crate::args::Arguments;
use crate::exit::{Outcome, TABLE};
use crate::print::print;
use anyhow::Context;
use clap::{Args, CommandFactory};
use clap_mangen::Man;
use std::path::PathBuf;

/// Print the manual page, or write all of them.
#[derive(Args, Debug)]
#[command(after_help = format!("\
Examples:
  wharf man | man -l -
  wharf man --dir ~/.local/share/man/man1

{TABLE}"))]
pub(crate) struct ManArgs {
    /// Write wharf.1 and a page for each subcommand into DIR, which is created if need be
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

pub(crate) fn run(arguments: ManArgs) -> anyhow::Result<Outcome> {
    let command = Arguments::command();
    let Some(dir) = arguments.dir else {
        let mut page = Vec::new();
        Man::new(command).render(&mut page)?;
        print(page)?;
        return Ok(Outcome::Done);
    };
    std::fs::create_dir_all(&dir)
        .and_then(|()| clap_mangen::generate_to(command, &dir))
        .with_context(|| format!("{}: cannot write the manual pages", dir.display()))?;
    Ok(Outcome::Done)
}
