//! Frames that are cut into what the wire carries behind the capture.

use crate::doctor::Case;
use crate::doctor::finding::Findings;

const CHECK: &str = "tso";

/// The kernel's names, and ethtool's for all of a kind.
const CUTTERS: [(&str, &str); 5] = [
    ("tx-tcp-segmentation", "tso"),
    ("tx-tcp6-segmentation", "tso"),
    ("tx-generic-segmentation", "gso"),
    ("tx-udp-segmentation", "tx-udp-segmentation"),
    ("tx-sctp-segmentation", "tx-sctp-segmentation"),
];

pub(super) fn check(case: &Case<'_>, findings: &mut Findings) {
    let device = case.device;
    if device.features.or_tell(CHECK, findings).is_none() {
        return;
    }
    let on: Vec<_> = CUTTERS.into_iter().filter(|(feature, _)| device.has(feature)).collect();
    if on.is_empty() {
        return findings.good(CHECK, "sent frames are captured as the wire carries them (TSO, GSO off)");
    }
    let mut options: Vec<_> = (on.iter())
        .filter(|(feature, _)| device.if_changeable(feature, String::new()).is_some())
        .map(|(_, option)| *option)
        .collect();
    options.dedup();
    let list = options.iter().map(|option| format!(" {option} off")).collect::<String>();
    let command = (!options.is_empty()).then(|| format!("ethtool -K {}{list}", case.name()));
    let meaning = "what this host sends is captured before it is cut: frames of up to 64 KiB that no wire carries; over \
                   a veth or the loopback they arrive so, too";
    findings.note(CHECK, "the device cuts what is sent (TSO, GSO on)", meaning, command);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Severity;
    use crate::doctor::made_up::{featuring, of};

    #[test]
    fn one_command_for_all_that_are_on() {
        let found = of(
            check,
            &featuring(&["tx-tcp-segmentation", "tx-tcp6-segmentation", "tx-generic-segmentation"]),
        );
        assert_eq!(found.commands(), ["ethtool -K eth0 tso off gso off"]);
        assert_eq!(found.severities(), [Severity::Note]);
        assert_eq!(of(check, &featuring(&["rx-gro"])).severities(), [Severity::Good]);
    }
}
