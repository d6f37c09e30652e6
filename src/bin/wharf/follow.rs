//! `wharf follow`: what the two ends of a conversation said.

use crate::args;
use crate::at_most::at_most;
use crate::colour;
use crate::counted::counted;
use crate::exit::{self, Outcome, STRICT, TABLE};
use crate::expression::ExpressionArgs;
use crate::input::InputArgs;
use crate::link_types::LinkTypeNotes;
use crate::output;
use crate::print::print;
use crate::run;
use crate::wish::Wish;
use anyhow::bail;
use clap::{Args, ValueEnum};
use std::io::{IsTerminal, stdout};
use wharf::demux::Rule;
use wharf::flow::reassembly::Side;
use wharf::sink::follow::{Choice, Conversations, Form, ShowOptions};
use wharf::sink::{Follow, Tee};

/// Follow one conversation over TCP or UDP: what each end said, in order, each in turn.
///
/// Without a number it is the first conversation in which anybody says anything; an expression narrows the choice.
/// What is missing is told in its place. On a terminal each end has a colour of its own.
#[derive(Args, Debug)]
#[command(after_help = format!("\
Examples:
  wharf follow -r chat.pcap               the first conversation, as text
  wharf follow -r chat.pcap --list        all conversations, with their numbers
  wharf follow -r chat.pcap --number 3    the third of them
  wharf follow -r chat.pcap --number 3 --as hex
  wharf follow -r web.pcap --number 1 --as raw --only second > answer
  wharf follow -i eth0 tcp port 6667      live, as it is said

{TABLE}{STRICT}"))]
pub(crate) struct FollowArgs {
    #[command(flatten)]
    input: InputArgs,

    #[command(flatten)]
    expression: ExpressionArgs,

    /// The conversation of this number in the list (of the same expression)
    #[arg(short = 'N', long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    #[arg(help_heading = "Output", conflicts_with = "list")]
    number: Option<u64>,

    /// List the conversations with their numbers
    #[arg(long, help_heading = "Output", conflicts_with_all = ["form", "only"])]
    list: bool,

    /// Show bytes as text, in hexadecimal, or raw: nothing but the bytes
    #[arg(long = "as", value_name = "text|hex|raw", value_enum, default_value = "text")]
    #[arg(hide_possible_values = true, help_heading = "Output")]
    form: FormName,

    /// What others call it: `--as` says it here. Without this clap would advise `--help`.
    #[arg(long, hide = true)]
    hex: bool,

    /// Only what this side says: first, who sent first, or second
    #[arg(
        long,
        value_name = "first|second",
        value_enum,
        hide_possible_values = true,
        help_heading = "Output"
    )]
    only: Option<SideName>,

    /// With --list: a JSON object a conversation
    #[arg(long, requires = "list", conflicts_with_all = ["number", "form", "only"], help_heading = "Output")]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum FormName {
    Text,
    Hex,
    Raw,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum SideName {
    First,
    Second,
}

pub(crate) fn run(arguments: FollowArgs) -> anyhow::Result<Outcome> {
    let FollowArgs { input, expression, number, list, form, hex, only, json } = arguments;
    if hex {
        bail!(args::usage("--hex: bytes in hexadecimal are --as hex"));
    }
    input.refuse_to_cut("`wharf sniff -r FILE -s BYTES -w FILE` does")?;
    let form = match form {
        FormName::Text => Form::Text,
        FormName::Hex => Form::Hex,
        FormName::Raw => Form::Raw,
    };
    let only = only.map(|side| match side {
        SideName::First => Side::First,
        SideName::Second => Side::Second,
    });
    if form == Form::Raw && stdout().is_terminal() {
        bail!(args::usage("raw bytes would be obeyed by the terminal: send them to a file or a pipe"));
    }
    let wish = Wish::of(vec![Rule::Rest]).soon(!list && stdout().is_terminal());
    let wish = wish.matching(expression.filter()?).counting_matches();
    let (builder, watched) = input.builder(&wish)?;
    if list {
        let mut conversations = Conversations::new();
        let sink = at_most(&mut conversations, watched.at_most);
        let builder = builder.rest(Tee(LinkTypeNotes::default(), sink));
        let ended = run::drive(builder, watched, false);
        let printed = match ended.report() {
            Some(_) => listed(&conversations, json).and_then(print),
            None => Ok(()),
        };
        return ended.conclude_after(printed);
    }
    let colour = colour::wanted(stdout().is_terminal());
    let choice = number.map_or(Choice::First, Choice::Number);
    let mut follow = Follow::new(output::stdout(), choice, ShowOptions { form, colour, only });
    let sink = at_most(&mut follow, watched.at_most);
    let builder = builder.rest(Tee(LinkTypeNotes::default(), sink));
    let ended = run::drive(builder, watched, true);
    let found = tell(&follow, number);
    let outcome = ended.conclude()?;
    found.map(|()| outcome)
}

fn listed(conversations: &Conversations, json: bool) -> anyhow::Result<String> {
    if !json {
        return Ok(conversations.to_string());
    }
    let mut text = String::new();
    for conversation in conversations.iter() {
        text += &serde_json::to_string(conversation)?;
        text.push('\n');
    }
    Ok(text)
}

/// Says what was followed.
///
/// # Errors
/// When there was nothing to follow.
fn tell<W: std::io::Write>(follow: &Follow<W>, number: Option<u64>) -> anyhow::Result<()> {
    let all = follow.conversations().iter().len();
    let Some(conversation) = follow.followed() else {
        match number {
            Some(number) => bail!("there is no conversation {number}, but {all} in all: --list shows them"),
            None if all == 0 => bail!("there is no conversation over TCP or UDP to follow"),
            None => bail!("nobody says anything: {} without a byte of data", counted(all, "conversation")),
        }
    };
    let [(said, missing), (answered, missing_too)] = follow.shown();
    let mut line = format!("followed {conversation}: {}, {answered} back", counted(said, "byte"));
    let missing = missing + missing_too;
    if missing > 0 {
        let are = if missing == 1 { "is" } else { "are" };
        line += &format!("; {} {are} missing", counted(missing, "byte"));
    }
    if all > 1 {
        line += &format!("; conversation {} of {all}, --list shows them", conversation.number);
    }
    exit::tell(&line);
    Ok(())
}
