//! VLAN tags that the device takes out of frames.

use crate::doctor::Case;
use crate::doctor::finding::Findings;

pub(super) fn check(case: &Case<'_>, findings: &mut Findings) {
    let device = case.device;
    if device.features.or_tell("rx-vlan", findings).is_none() {
        return;
    }
    let name = case.name();
    if device.has("rx-vlan-hw-parse") {
        let meaning = "the device takes VLAN tags out of frames and tells them beside: wharf puts them back where they \
                       were, other programs may not; filters that look into frames do not find them there";
        let command = device.if_changeable("rx-vlan-hw-parse", format!("ethtool -K {name} rxvlan off"));
        findings.note("rx-vlan", "VLAN tags are taken out (rxvlan on)", meaning, command);
    } else {
        findings.good("rx-vlan", "VLAN tags stay in their frames");
    }
    if device.has("rx-vlan-filter") {
        let meaning = "frames of VLANs that this host has no interface for may not come in at all; promiscuous mode \
                       switches that off in most drivers";
        let command = device.if_changeable("rx-vlan-filter", format!("ethtool -K {name} rx-vlan-filter off"));
        findings.note("rx-vlan-filter", "the device filters by VLAN", meaning, command);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Severity::{Good, Note};
    use crate::doctor::made_up::{featuring, of};

    #[test]
    fn tags_taken_out_or_filtered() {
        let found = of(check, &featuring(&["rx-vlan-hw-parse", "rx-vlan-filter"]));
        assert_eq!(found.severities(), [Note, Note]);
        assert_eq!(found.commands(), ["ethtool -K eth0 rxvlan off", "ethtool -K eth0 rx-vlan-filter off"]);
        assert_eq!(of(check, &featuring(&["rx-gro"])).severities(), [Good]);
    }
}
