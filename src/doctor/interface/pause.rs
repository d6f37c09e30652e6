//! Whether the other end is asked to wait.

use crate::doctor::Case;
use crate::doctor::finding::Findings;

const CHECK: &str = "pause";

pub(super) fn check(case: &Case<'_>, findings: &mut Findings) {
    let Some(pause) = case.device.pause.or_tell(CHECK, findings) else { return };
    if pause.transmit {
        let meaning = "when its ring is full the device asks the other end to wait: what is lost is then lost in the \
                       switch, where nobody here sees it, and the times are not the wire's";
        let command = format!("ethtool -A {} autoneg off rx off tx off", case.name());
        findings.note(CHECK, "the device sends pause frames", meaning, Some(command));
    } else {
        findings.good(CHECK, "the device sends no pause frames");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::made_up::of;
    use crate::doctor::{Answer, Device, Severity};
    use crate::sys::ethtool::Pause;

    #[test]
    fn who_asks_others_to_wait_hides_losses() {
        let found = |transmit| {
            let pause = Answer::Known(Pause { transmit, ..Pause::default() });
            of(check, &Device { pause, ..Device::default() })
        };
        assert_eq!(found(true).commands(), ["ethtool -A eth0 autoneg off rx off tx off"]);
        assert_eq!(found(false).severities(), [Severity::Good]);
        assert!(of(check, &Device::default()).findings.is_empty());
    }
}
