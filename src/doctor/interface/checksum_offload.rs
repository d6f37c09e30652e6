//! Checksums that somebody else computes or verifies.

use crate::doctor::Case;
use crate::doctor::finding::Findings;

pub(super) fn check(case: &Case<'_>, findings: &mut Findings) {
    let device = case.device;
    if device.features.or_tell("tx-checksum", findings).is_none() {
        return;
    }
    let name = case.name();
    let computes = ["tx-checksum-ip-generic", "tx-checksum-ipv4", "tx-checksum-ipv6"];
    if let Some(feature) = computes.into_iter().find(|feature| device.has(feature)) {
        let meaning = "sent TCP and UDP packets are captured before their checksum is there: the field holds a \
                       beginning, which wharf calls offloaded and other tools call wrong";
        let command = device.if_changeable(feature, format!("ethtool -K {name} tx off"));
        findings.note("tx-checksum", "the device computes checksums", meaning, command);
    } else {
        findings.good("tx-checksum", "checksums of sent packets are there when they are captured");
    }
    if device.has("rx-checksum") {
        findings
            .good("rx-checksum", "the device verifies checksums; damaged packets are captured all the same");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Severity::{Good, Note};
    use crate::doctor::made_up::{featuring, of};

    #[test]
    fn sums_that_come_later_are_noted() {
        let found = of(check, &featuring(&["tx-checksum-ip-generic", "rx-checksum"]));
        assert_eq!(
            (found.severities(), found.commands()),
            (vec![Note, Good], vec!["ethtool -K eth0 tx off"])
        );
        assert_eq!(of(check, &featuring(&["rx-gro"])).severities(), [Good]);
    }
}
