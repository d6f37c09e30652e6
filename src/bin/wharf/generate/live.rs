//! Frames made and sent by the kernel.

use super::feed::Feed;
use super::report::{self, Account};
use super::{Plan, send};
use crate::exit::Outcome;
use anyhow::bail;
use wharf::sink::transmit::TransmitOptions;

pub(super) fn run(
    feed: &Feed,
    options: TransmitOptions,
    count: Option<u64>,
    plan: &Plan,
) -> anyhow::Result<Outcome> {
    let (device, most) = options.check()?;
    send::check_lengths(feed, &device.name, most)?;
    let Some(table) = feed.table() else { bail!("live frames are made up, not read") };
    let (sent, counted) = options.open_live(table)?.run(count.unwrap_or(u64::MAX))?;
    let left = count.map(|count| count - sent.offered.min(count));
    let (interface, counted) = (device.name, Some(counted));
    let account = Account { interface, sent, left, counted, pace: plan.pace, threads: 1 };
    report::show(&account, plan.json)?;
    Ok(if plan.strict && account.has_losses() { Outcome::Losses } else { Outcome::Done })
}
