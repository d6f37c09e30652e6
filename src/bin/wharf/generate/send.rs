//! A thread for each CPU, all of them fed in turns.

use super::Plan;
use super::feed::Feed;
use super::report::{self, Account};
use crate::cores;
use crate::exit::Outcome;
use anyhow::{Context, bail};
use std::sync::{Mutex, PoisonError};
use std::thread;
use wharf::batch::Findings;
use wharf::frame::Batch;
use wharf::sink::transmit::{Sent, Transmit, TransmitOptions};
use wharf::sink::{Deliveries, Sink};
use wharf::source::{BATCH, Chunk};
use wharf::sys::link_counters;

/// Bytes of a VLAN tag, which come on top of what the MTU allows.
const TAG: u32 = 4;

pub(super) fn run(
    feed: Feed,
    options: TransmitOptions,
    cores: &[usize],
    plan: &Plan,
) -> anyhow::Result<Outcome> {
    let (device, most) = options.check()?;
    check_lengths(&feed, &device.name, most)?;
    let senders = options.open_many(cores.len().max(1))?;
    let before = link_counters(device.index).context("cannot read the interface's counters")?;
    let feed = &Mutex::new(feed);
    let (mut sent, mut failure) = (Sent::default(), None);
    thread::scope(|scope| {
        let start = |(at, mut sender): (usize, Transmit)| {
            let core = cores.get(at).copied();
            scope.spawn(move || {
                let result = core.map_or(Ok(()), cores::pin).and_then(|()| drive(feed, &mut sender));
                if result.is_err() {
                    // The others need not go on.
                    plan.shutdown.request();
                }
                (sender.sent().clone(), result)
            })
        };
        let threads: Vec<_> = senders.into_iter().enumerate().map(start).collect();
        for thread in threads {
            let (part, result) = thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            sent.merge(&part);
            failure = failure.take().or(result.err());
        }
    });
    // Where the interface is gone, so are its counters.
    let counted = link_counters(device.index).ok().map(|after| after - before);
    let left = feed.lock().unwrap_or_else(PoisonError::into_inner).left().map(|left| left + sent.left);
    let (interface, threads) = (device.name, cores.len().max(1));
    let account = Account { interface, sent, left, counted, pace: plan.pace, threads };
    report::show(&account, plan.json)?;
    match failure {
        Some(failure) => Err(failure),
        None if plan.strict && account.has_losses() => Ok(Outcome::Losses),
        None if account.has_sent_nothing() => {
            bail!("{}: nothing was sent: all was refused", account.interface)
        }
        None => Ok(Outcome::Done),
    }
}

/// Frames that are made up and cannot be sent are told before one is.
pub(super) fn check_lengths(feed: &Feed, name: &str, most: u32) -> anyhow::Result<()> {
    let Some(table) = feed.table() else { return Ok(()) };
    let is_tagged = |data: &[u8]| data.get(12..14) == Some(&[0x81, 0x00]);
    let beyond = |data: &[u8]| data.len() as u64 > u64::from(most + if is_tagged(data) { TAG } else { 0 });
    let longest = table.frames().map(|frame| frame.data).filter(|data| beyond(data)).map(<[u8]>::len).max();
    if let Some(longest) = longest {
        bail!(
            "{name}: frames of {longest} bytes are longer than its MTU allows ({most}): choose another --size, or \
             ip link set dev {name} mtu {}",
            longest - (most as usize).min(14)
        );
    }
    Ok(())
}

fn drive(feed: &Mutex<Feed>, sender: &mut Transmit) -> anyhow::Result<()> {
    let stamps = sender.wants_layers();
    let (mut chunk, mut findings) = (Chunk::default(), Findings::new());
    loop {
        // A thread that panicked holding it is told of where it is joined.
        let begin = feed.lock().unwrap_or_else(PoisonError::into_inner).next(&mut chunk)?;
        let Some(begin) = begin else { break };
        sender.resume(begin);
        for batch in chunk.batches() {
            let goes_on = if stamps { stamped(sender, &mut findings, batch)? } else { sender.send(batch)? };
            if !goes_on {
                return Ok(sender.finish(&[])?);
            }
        }
        if chunk.is_empty() && sender.is_stopped() {
            break;
        }
    }
    Ok(sender.finish(&[])?)
}

/// As [`Transmit::send`], by way of the headers, which say where a stamp goes.
fn stamped(sender: &mut Transmit, findings: &mut Findings, batch: Batch<'_>) -> anyhow::Result<bool> {
    let all: [u16; BATCH] = std::array::from_fn(|index| index as u16);
    findings.read(batch);
    findings.lay_out(batch, &all[..batch.len()]);
    sender.write(Deliveries::new(batch, findings, &all[..batch.len()]))?;
    Ok(!sender.is_over())
}
