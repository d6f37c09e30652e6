//! `wharf demo`: what happens on a wire when two programs talk, captured and told by wharf itself.

mod anatomy;
mod fit;
mod live;
mod offline;
mod paint;
mod seen;
mod story;

use crate::exit::{Outcome, TABLE};
use crate::print::print;
use crate::terminal;
use anyhow::Context;
use clap::Args;
use paint::Paint;
use seen::Keep;
use std::io::{IsTerminal, Write, stdout};
use std::net::Ipv4Addr;
use story::Story;
use wharf::engine::{Builder, Engine, Report};
use wharf::sys::namespace::{self, Unavailable};

/// Two programs talk over a private network; wharf captures the wire and tells what happened.
///
/// Needs no root: the network is in namespaces of its own and gone afterwards. Where those are
/// forbidden the same story is told from frames that wharf builds itself.
#[derive(Args, Debug)]
#[command(after_help = format!("\
Examples:
  wharf demo
  wharf demo --offline

{TABLE}"))]
pub(crate) struct DemoArgs {
    /// Tell the story from built frames, even where namespaces are allowed
    #[arg(long)]
    offline: bool,
}

/// Who takes part, what they say, and through which ports.
pub(crate) struct Cast {
    client: Ipv4Addr,
    server: Ipv4Addr,
    /// What the client knows of the server before it asks.
    name: &'static str,
    dns_port: u16,
    chat_port: u16,
    said: &'static str,
    answered: &'static str,
    /// Port and number of datagrams, from one client to many programs.
    burst: &'static [(u16, usize)],
}

const CAST: Cast = Cast {
    client: Ipv4Addr::new(10, 77, 0, 1),
    server: Ipv4Addr::new(10, 77, 0, 2),
    name: "chat.example",
    dns_port: 53,
    chat_port: 7007,
    said: "Hello, world",
    answered: "Hello, client",
    burst: &[(5001, 80), (5002, 60), (5003, 40), (5004, 20)],
};

pub(crate) fn run(arguments: &DemoArgs) -> anyhow::Result<Outcome> {
    let columns = terminal::columns();
    let paint = Paint::on(stdout().is_terminal());
    let mut out = Vec::new();
    // First of all: a process with threads cannot change its user namespace.
    let network = if arguments.offline {
        Err(Unavailable { reason: "asked to do without (--offline)".into() })
    } else {
        namespace::enter_private()
    };
    let mut keep = Keep::default();
    let report = match network {
        Ok(()) => {
            writeln!(
                out,
                "Two hosts, client {} and server {}, with a wire between them (a veth pair between two\n\
                 network namespaces). Real programs talk through real sockets; wharf captures the wire.",
                CAST.client, CAST.server
            )?;
            live::play(&CAST, &mut keep).context("the demo's network")?
        }
        Err(unavailable) => {
            writeln!(
                out,
                "No live network here: {}.\n\
                 The same story from frames that wharf builds itself, through the same pipeline:",
                unavailable.reason
            )?;
            collect(Engine::builder().source(offline::Script::new(&CAST)), &mut keep)?
        }
    };
    let story = Story { cast: &CAST, packets: &keep.packets, report: &report, paint, columns };
    story.tell(&mut out)?;
    print(fit::lines(&String::from_utf8_lossy(&out), columns))?;
    Ok(Outcome::Done)
}

/// Runs the pipeline with one output that keeps every packet.
fn collect(builder: Builder<'_>, keep: &mut Keep) -> Result<Report, wharf::engine::Error> {
    builder.output(wharf::demux::Rule::Rest, keep).run()
}
