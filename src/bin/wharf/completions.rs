//! `wharf completions`: what makes a shell complete wharf's arguments.

use crate::args::Arguments;
use crate::exit::{Outcome, TABLE};
use crate::print::print;
use clap::{Args, CommandFactory};
use clap_complete::Shell;

/// Print a shell's completion script.
#[derive(Args, Debug)]
#[command(after_help = format!("\
Examples:
  wharf completions bash > ~/.local/share/bash-completion/completions/wharf
  wharf completions zsh  > ~/.zfunc/_wharf
  wharf completions fish > ~/.config/fish/completions/wharf.fish

{TABLE}"))]
pub(crate) struct CompletionsArgs {
    /// Shell to complete for
    shell: Shell,
}

pub(crate) fn run(arguments: CompletionsArgs) -> anyhow::Result<Outcome> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Arguments::command(), "wharf", &mut script);
    print(script)?;
    Ok(Outcome::Done)
}
