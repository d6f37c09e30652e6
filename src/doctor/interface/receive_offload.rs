//! Frames joined to larger ones before a capture sees them.

use crate::doctor::Case;
use crate::doctor::finding::Findings;

/// Key, the kernel's name, in words, ethtool's name.
const JOINERS: [(&str, &str, &str, &str); 5] = [
    ("lro", "rx-lro", "large receive offload", "lro"),
    ("gro-hw", "rx-gro-hw", "receive offload in the device", "rx-gro-hw"),
    ("gro", "rx-gro", "generic receive offload", "gro"),
    ("gro-list", "rx-gro-list", "chained receive offload", "rx-gro-list"),
    ("udp-gro", "rx-udp-gro-forwarding", "receive offload of UDP", "rx-udp-gro-forwarding"),
];

pub(super) fn check(case: &Case<'_>, findings: &mut Findings) {
    if case.device.features.or_tell("gro", findings).is_none() {
        return;
    }
    let name = case.name();
    let mut any = false;
    for (key, feature, words, option) in
        JOINERS.into_iter().filter(|(_, feature, ..)| case.device.has(feature))
    {
        // Over the loopback nothing is taken apart, so that there is nothing to join.
        if case.interface.is_loopback() {
            continue;
        }
        any = true;
        let meaning = "segments of a flow are joined before a capture sees them: it shows frames of up to 64 KiB that \
                       were on no wire, and fewer of them";
        let command = case.device.if_changeable(feature, format!("ethtool -K {name} {option} off"));
        findings.warn(key, format!("{words} is on"), meaning, command);
    }
    if !any {
        findings.good("gro", "received frames are not joined (GRO, LRO off)");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::made_up::{MadeUp, featuring, named, of, of_device};
    use crate::doctor::{Answer, Asked, Device, Severity};

    #[test]
    fn each_joiner_is_named_with_its_switch() {
        let found = of(check, &featuring(&["rx-gro", "rx-lro", "tx-tcp-segmentation"]));
        assert_eq!(found.commands(), ["ethtool -K eth0 lro off", "ethtool -K eth0 gro off"]);
        assert_eq!(found.severities(), [Severity::Warn; 2]);
        assert_eq!(of(check, &featuring(&["rx-hashing"])).severities(), [Severity::Good]);
    }

    #[test]
    fn what_is_fixed_has_no_command_and_what_is_unknown_no_finding() {
        let mut device = featuring(&["rx-gro"]);
        if let Answer::Known(features) = &mut device.features {
            features.values_mut().for_each(|feature| feature.changeable = false);
        }
        assert!(of(check, &device).commands().is_empty());
        let unseen = of(check, &Device { features: Answer::Unseen("no".into()), ..Device::default() });
        assert_eq!((unseen.findings.len(), unseen.unseen), (0, 1));
    }

    #[test]
    fn the_loopback_has_nothing_to_join() {
        let mut interface = named("lo");
        interface.flags |= libc::IFF_LOOPBACK as u32;
        let device = featuring(&["rx-gro"]);
        let found = of_device(check, &MadeUp::default(), &interface, &device, &Asked::default());
        assert_eq!(found.severities(), [Severity::Good]);
    }
}
