//! What has been lost already.

use crate::doctor::Case;
use crate::doctor::finding::Findings;
use crate::sys::ethtool::tells_of_loss;

const CHECK: &str = "losses";

pub(super) fn check(case: &Case<'_>, findings: &mut Findings) {
    let name = case.name();
    let mut counted = Vec::new();
    let mut harmless = true;
    if let Some(state) = case.device.state.or_tell(CHECK, findings) {
        for (counter, frames) in state.losses.receiving().into_iter().filter(|(_, frames)| *frames > 0) {
            // Also counts frames of protocols that nobody here wants.
            harmless &= matches!(counter, "rx_dropped" | "rx_nohandler");
            counted.push(format!("{frames} {counter}"));
        }
    }
    if let Some(statistics) = case.device.statistics.or_tell(CHECK, findings) {
        for (counter, frames) in
            statistics.iter().filter(|(counter, frames)| *frames > 0 && tells_of_loss(counter))
        {
            harmless = false;
            counted.push(format!("{frames} {counter} (driver)"));
        }
    }
    let found = counted.join(", ");
    if counted.is_empty() {
        findings.good(CHECK, "no losses counted since the interface was made");
    } else if harmless {
        let meaning = "no room in the stack, or frames of protocols that nobody here wants: see whether it grows while \
                       a capture runs (--stats 1s tells)";
        findings.note(CHECK, found, meaning, Some(format!("ip -s -s link show dev {name}")));
    } else {
        let meaning = "frames were lost before any capture could see them, since the interface was made: see whether \
                       it still grows (--stats 1s tells)";
        findings.warn(CHECK, found, meaning, Some(format!("ethtool -S {name}")));
    }
    if let Some(peer) = case.device.peer.or_tell(CHECK, findings) {
        let (peer, dropped) = (&peer.name, peer.losses.tx_dropped);
        if dropped > 0 {
            let meaning = "the other end of this veth gave up frames because there was no room here: no capture on \
                           either end says so";
            findings.warn(CHECK, format!("{dropped} tx_dropped at {peer}, the other end"), meaning, None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::made_up::of;
    use crate::doctor::{Answer, Device, Severity};
    use crate::sys::link_state::{LinkLosses, LinkState};

    fn state(name: &str, losses: LinkLosses) -> Answer<LinkState> {
        Answer::Known(LinkState { name: name.into(), losses, ..LinkState::default() })
    }

    #[test]
    fn what_was_missed_is_worse_than_what_nobody_wanted() {
        let found = |losses| of(check, &Device { state: state("eth0", losses), ..Device::default() });
        assert_eq!(found(LinkLosses::default()).severities(), [Severity::Good]);
        let dropped = LinkLosses { rx_dropped: 3, ..LinkLosses::default() };
        assert_eq!(found(dropped).severities(), [Severity::Note]);
        let missed = found(LinkLosses { rx_missed: 7, ..dropped });
        assert_eq!(
            (missed.severities(), missed.only().found.as_str()),
            (vec![Severity::Warn], "3 rx_dropped, 7 rx_missed")
        );
    }

    #[test]
    fn drivers_and_other_ends_are_asked_too() {
        let statistics = [("rx_no_buf", 5), ("rx_packets", 99), ("tx_dropped", 4)];
        let device = Device {
            statistics: Answer::Known(statistics.map(|(name, count)| (name.to_owned(), count)).into()),
            peer: state("veth1", LinkLosses { tx_dropped: 8, ..LinkLosses::default() }),
            ..Device::default()
        };
        let found = of(check, &device);
        assert_eq!(found.findings[0].found, "5 rx_no_buf (driver)");
        assert_eq!(found.findings[1].found, "8 tx_dropped at veth1, the other end");
        let device = Device { peer: Answer::Unseen("not allowed".into()), ..Device::default() };
        assert_eq!(of(check, &device).unseen, 1);
    }
}
