//! How long a burst the device bridges by itself.

use crate::doctor::Case;
use crate::doctor::finding::Findings;

const CHECK: &str = "nic-ring";

pub(super) fn check(case: &Case<'_>, findings: &mut Findings) {
    let Some(rings) = case.device.rings.or_tell(CHECK, findings).filter(|rings| rings.receive_most > 0)
    else {
        return;
    };
    let (now, most) = (rings.receive, rings.receive_most);
    if now >= most {
        return findings.good(CHECK, format!("the device's receive ring is as large as it can be: {now}"));
    }
    let found = format!("the device's receive ring has {now} of {most} descriptors");
    let meaning = "frames that come while its CPU is busy wait there; when it is full the device loses them (rx_missed, \
                   rx_fifo, no_buf), and no capture sees that. Setting it takes the link down for a moment";
    findings.warn(CHECK, found, meaning, Some(format!("ethtool -G {} rx {most}", case.name())));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::made_up::of;
    use crate::doctor::{Answer, Device, Severity};
    use crate::sys::ethtool::Rings;

    #[test]
    fn a_ring_may_be_larger() {
        let found = |receive, receive_most| {
            let rings = Answer::Known(Rings { receive, receive_most, ..Rings::default() });
            of(check, &Device { rings, ..Device::default() })
        };
        assert_eq!(found(256, 256).severities(), [Severity::Good]);
        assert_eq!(found(256, 4096).commands(), ["ethtool -G eth0 rx 4096"]);
        assert!(found(0, 0).findings.is_empty(), "no ring, no finding");
    }
}
