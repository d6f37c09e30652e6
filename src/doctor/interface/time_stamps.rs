//! Whose clock the times of frames are from.

use crate::doctor::Case;
use crate::doctor::finding::Findings;

const CHECK: &str = "time-stamps";

pub(super) fn check(case: &Case<'_>, findings: &mut Findings) {
    let Some(stamps) = case.device.time_stamps.or_tell(CHECK, findings) else { return };
    match stamps.clock {
        Some(clock) if stamps.every_frame() && stamps.by_its_clock() => {
            findings.good(
                CHECK,
                format!(
                    "the device can stamp every frame (clock /dev/ptp{clock}): sniff -j adapter_unsynced has its times"
                ),
            );
        }
        _ => {
            let meaning = "a frame's time is when the kernel saw it: later than on the wire by the interrupt's delay, and \
                           frames of one batch are close together";
            findings.note(CHECK, "the device stamps no frames: times are the kernel's", meaning, None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::made_up::of;
    use crate::doctor::{Answer, Device, Severity};
    use crate::sys::ethtool::TimeStamps;

    #[test]
    fn only_a_clock_that_stamps_all_frames_helps() {
        let found = |clock, receive_filters| {
            let ways = libc::SOF_TIMESTAMPING_RX_HARDWARE | libc::SOF_TIMESTAMPING_RAW_HARDWARE;
            let time_stamps = Answer::Known(TimeStamps { ways, clock, receive_filters });
            of(check, &Device { time_stamps, ..Device::default() })
        };
        assert_eq!(
            found(Some(0), 0b11).only().found,
            "the device can stamp every frame (clock /dev/ptp0): sniff -j adapter_unsynced has its times"
        );
        assert_eq!(found(Some(0), 0b1001).severities(), [Severity::Note], "some frames");
        assert_eq!(found(None, 0).severities(), [Severity::Note]);
    }
}
