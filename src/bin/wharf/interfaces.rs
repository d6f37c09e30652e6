//! `wharf interfaces`: what there is to capture from.

use crate::exit::{Outcome, TABLE};
use crate::print::print;
use anyhow::Context;
use clap::Args;
use serde_json::{Value, json};
use std::fmt::Write;
use wharf::parse::MacAddress;
use wharf::source::packet::TimeStampType;
use wharf::sys::InterfaceInfo;

/// List the interfaces that packets can be captured from.
#[derive(Args, Debug)]
#[command(after_help = format!("\
Examples:
  wharf interfaces
  wharf interfaces --json | jq -r '.[] | select(.up) | .name'

{TABLE}"))]
pub(crate) struct InterfacesArgs {
    /// Print a JSON array with an object for each interface
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: InterfacesArgs) -> anyhow::Result<Outcome> {
    list(arguments.json)
}

pub(crate) fn list(json: bool) -> anyhow::Result<Outcome> {
    let interfaces = wharf::sys::interfaces().context("cannot list interfaces")?;
    let text = if json {
        let objects: Vec<Value> = interfaces.iter().map(object).collect();
        serde_json::to_string(&objects)? + "\n"
    } else {
        table(&interfaces)
    };
    print(text)?;
    Ok(Outcome::Done)
}

fn object(interface: &InterfaceInfo) -> Value {
    json!({
        "index": interface.index,
        "name": interface.name,
        "kind": interface.kind,
        "up": interface.is_up(),
        "running": interface.is_running(),
        "loopback": interface.is_loopback(),
        "mtu": (interface.mtu > 0).then_some(interface.mtu),
        "mac": interface.mac.map(|mac| MacAddress(mac).to_string()),
        "addresses": addresses(interface),
        "speed_mbit": interface.speed,
        "time_stamp_types": TimeStampType::of(&interface.name).ok().map(|types| names(&types)),
    })
}

/// By the names that `sniff -j` takes.
fn names(types: &[TimeStampType]) -> Vec<String> {
    types.iter().map(TimeStampType::to_string).collect()
}

fn addresses(interface: &InterfaceInfo) -> Vec<String> {
    interface.addresses.iter().map(|(address, prefix)| format!("{address}/{prefix}")).collect()
}

fn table(interfaces: &[InterfaceInfo]) -> String {
    let width = interfaces.iter().map(|interface| interface.name.len()).max().unwrap_or(0).max(4);
    let mut text =
        format!("{:width$}  {:7}  {:>5}  {:>9}  {:17}  addresses\n", "name", "state", "mtu", "speed", "mac");
    for interface in interfaces {
        let state = match (interface.is_up(), interface.is_running()) {
            (false, _) => "down",
            (true, false) => "up",
            (true, true) => "running",
        };
        let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        let line = format!(
            "{:width$}  {state:7}  {:>5}  {:>9}  {:17}  {}",
            interface.name,
            or_dash((interface.mtu > 0).then(|| interface.mtu.to_string())),
            or_dash(interface.speed.map(|speed| format!("{speed} Mb/s"))),
            or_dash(interface.mac.map(|mac| MacAddress(mac).to_string())),
            if interface.is_any() { "(all interfaces)".to_owned() } else { addresses(interface).join(" ") },
        );
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text
}
