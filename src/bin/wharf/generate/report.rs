//! The account of what was sent, for people and as JSON.

use super::Plan;
use super::dry::Preview;
use crate::counted::counted;
use crate::print::print;
use serde_json::{Map, Value, json};
use std::fmt::Write;
use std::path::Path;
use wharf::sink::transmit::{Pace, Rate, Sent};
use wharf::sys::LinkCounters;

pub(super) struct Account {
    pub(super) interface: String,
    pub(super) sent: Sent,
    /// Frames that were asked for by number and not sent.
    pub(super) left: Option<u64>,
    /// What the interface counted meanwhile, other senders included.
    pub(super) counted: Option<LinkCounters>,
    pub(super) pace: Pace,
    pub(super) threads: usize,
}

impl Account {
    /// Frames that should have gone out and did not.
    pub(super) fn has_losses(&self) -> bool {
        self.sent.refusals() > 0
            || self.counted.is_some_and(|counted| counted.tx_errors + self.dropped_for_good(counted) > 0)
    }

    /// Whether there were frames to send, and none went out.
    pub(super) fn has_sent_nothing(&self) -> bool {
        self.sent.frames == 0 && self.sent.refusals() > 0
    }

    /// Frames the interface dropped that were not given once more: each time its queue was full it counts a drop, and
    /// the frame was given again.
    fn dropped_for_good(&self, counted: LinkCounters) -> u64 {
        counted.tx_dropped.saturating_sub(self.sent.retries)
    }
}

pub(super) fn show(account: &Account, json: bool) -> anyhow::Result<()> {
    print(if json { serde_json::to_string(&object(account))? + "\n" } else { text(account) })
}

pub(super) fn show_file(sent: &Sent, path: &Path, json: bool) -> anyhow::Result<()> {
    let file = path.display().to_string();
    if json {
        let object = json!({ "file": file, "packets": sent.frames, "bytes": sent.bytes });
        return print(object.to_string() + "\n");
    }
    let (packets, bytes) = (counted(sent.frames, "packet"), counted(sent.bytes, "byte"));
    print(format!("{file}: {packets}, {bytes} written, nothing sent\n"))
}

pub(super) fn show_preview(preview: &Preview, interface: Option<&str>, plan: &Plan) -> anyhow::Result<()> {
    let Preview { frames, seen, bytes, lengths, last } = preview;
    let mean = *bytes as f64 / (*seen).max(1) as f64;
    let (least, most) = lengths.as_ref().map_or((0, 0), |lengths| (*lengths.start(), *lengths.end()));
    if plan.json {
        let object = json!({
            "interface": interface,
            "packets": frames,
            "length": { "least": least, "mean": mean, "most": most },
            "asked": asked(plan.pace),
            "seconds": last.map(|last| last.as_secs_f64()),
        });
        return print(object.to_string() + "\n");
    }
    let number =
        frames.map_or_else(|| "packets without end".to_owned(), |frames| format!("{frames} packets"));
    let time =
        last.map_or_else(String::new, |last| format!(", the last one after {:.3} s", last.as_secs_f64()));
    let place = interface.map_or_else(String::new, |name| format!(" on {name}"));
    print(format!(
        "would send {number} of {least} to {most} bytes ({mean:.1} on average){place}, {}{time}\n",
        describe(plan.pace)
    ))
}

fn describe(pace: Pace) -> String {
    match pace {
        Pace::FlatOut => "flat out".to_owned(),
        // In the unit of what came of it, beside which it stands.
        Pace::Rate(Rate::Bits(rate)) => format!("{} Mbit/s", rate.get() as f64 / 1e6),
        Pace::Rate(rate) => rate.to_string(),
        Pace::Recorded(speed) => format!("{speed} of the recorded speed"),
    }
}

fn asked(pace: Pace) -> Value {
    match pace {
        Pace::FlatOut => Value::Null,
        Pace::Rate(Rate::Packets(rate)) => json!({ "packets_per_second": rate }),
        Pace::Rate(Rate::Bits(rate)) => json!({ "bits_per_second": rate }),
        Pace::Recorded(speed) => json!({ "speed": speed.to_string() }),
    }
}

fn object(account: &Account) -> Value {
    let Account { interface, sent, left, counted, pace, threads } = account;
    let refused: Map<_, _> =
        sent.refused.iter().map(|(reason, count)| (reason.to_string(), json!(count))).collect();
    json!({
        "interface": interface,
        "asked": asked(*pace),
        "threads": threads,
        "packets": sent.frames,
        "bytes": sent.bytes,
        "refused": refused,
        "left": left,
        "retries": sent.retries,
        "unstamped": sent.unstamped,
        "seconds": sent.elapsed.as_secs_f64(),
        "packets_per_second": sent.packet_rate(),
        "bits_per_second": sent.bit_rate(),
        "late": {
            "mean_ns": sent.late.mean(),
            "most_ns": sent.late.most,
            "given_up_ns": sent.late.slip,
        },
        "counters": counted.as_ref().map(|counted| json!({
            "tx_packets": counted.tx_packets,
            "tx_bytes": counted.tx_bytes,
            "tx_errors": counted.tx_errors,
            "tx_dropped": counted.tx_dropped,
            "dropped_for_good": account.dropped_for_good(*counted),
        })),
    })
}

// Writing to a string cannot fail: results of it are of no interest here.
fn text(account: &Account) -> String {
    let Account { interface, sent, left, counted, pace, .. } = account;
    let refusals = sent.refusals();
    let mut text = format!("{interface}: {} packets sent, {refusals} refused", sent.frames);
    if let Some(left) = left {
        let _ = write!(text, ", {left} left");
    }
    text.push('\n');
    for (reason, count) in &sent.refused {
        let _ = writeln!(text, "  {count} refused: {reason}");
    }
    let _ = writeln!(
        text,
        "{} bytes in {:.3} s: {:.0} packets/s, {:.1} Mbit/s (asked: {})",
        sent.bytes,
        sent.elapsed.as_secs_f64(),
        sent.packet_rate(),
        sent.bit_rate() / 1e6,
        describe(*pace),
    );
    if sent.late.times > 0 {
        let micros = |nanos: u64| nanos as f64 / 1e3;
        let late = sent.late;
        let _ = writeln!(
            text,
            "late by {:.1} us on average, {:.1} us at most",
            micros(late.mean()),
            micros(late.most)
        );
        if late.slip > 0 {
            let _ = writeln!(text, "fell behind: {:.3} s were not made up for", late.slip as f64 / 1e9);
        }
    }
    if sent.unstamped > 0 {
        let _ =
            writeln!(text, "{} packets without a stamp: no UDP, or less than 16 bytes in it", sent.unstamped);
    }
    if let Some(counted) = counted {
        let _ = writeln!(
            text,
            "{interface} counts {} sent, {} dropped, {} errors; its queue was full {} times{}",
            counted.tx_packets,
            account.dropped_for_good(*counted),
            counted.tx_errors,
            sent.retries,
            if sent.retries > 0 { ", and each time the frame was given again" } else { "" }
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_given_again_is_no_loss() {
        let account = |retries, tx_dropped| Account {
            interface: "v0".to_owned(),
            sent: Sent { frames: 1, retries, ..Sent::default() },
            left: Some(2),
            counted: Some(LinkCounters { tx_packets: 1, tx_dropped, ..LinkCounters::default() }),
            pace: Pace::FlatOut,
            threads: 1,
        };
        let again = account(7564, 7564);
        let line = "v0 counts 1 sent, 0 dropped, 0 errors; its queue was full 7564 times, and each time the frame was \
                    given again\n";
        assert!(text(&again).ends_with(line), "{}", text(&again));
        assert_eq!(object(&again)["counters"]["dropped_for_good"], 0);
        assert!(!again.has_losses());
        let lost = account(3, 5);
        assert!(text(&lost).contains("v0 counts 1 sent, 2 dropped, 0 errors; its queue was full 3 times, "));
        assert!(lost.has_losses());
        assert!(text(&account(0, 0)).ends_with("its queue was full 0 times\n"));
    }
}
