//! How much the kernel holds for who reads frames without a ring.

use super::number;
use crate::doctor::finding::Findings;
use crate::doctor::host::Host;

/// A tenth of a second of 1 Gbit/s.
const ENOUGH: u64 = 12 << 20;

pub(super) fn check(host: &dyn Host, findings: &mut Findings) {
    if let Some(most) = number(host, "socket-buffers", "net.core.rmem_max", findings) {
        let found = format!("a socket may ask for {} KiB to receive into (net.core.rmem_max)", most >> 10);
        if most >= ENOUGH {
            findings.good("socket-buffers", found);
        } else {
            let meaning = "wharf's ring is not bound by it; programs that receive from plain sockets are, and lose bursts";
            let command = format!("sysctl -w net.core.rmem_max={ENOUGH}");
            findings.note("socket-buffers", found, meaning, Some(command));
        }
    }
    // Told in the first network namespace only, and not by all kernels.
    if host.read("/proc/sys/net/core/netdev_tstamp_prequeue").is_ok_and(|value| value == "0") {
        let meaning =
            "with packet steering a frame's time is when the other CPU came to it, not when it was received";
        let command = "sysctl -w net.core.netdev_tstamp_prequeue=1".to_owned();
        findings.note("tstamp-prequeue", "frames are stamped behind the backlog", meaning, Some(command));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Severity;
    use crate::doctor::made_up::{MadeUp, of_host};

    #[test]
    fn small_buffers_and_late_stamps() {
        let found = |most: &str, early: &str| {
            of_host(
                check,
                &MadeUp::with([
                    ("/proc/sys/net/core/rmem_max", most),
                    ("/proc/sys/net/core/netdev_tstamp_prequeue", early),
                ]),
            )
        };
        assert_eq!(found("212992", "1").commands(), ["sysctl -w net.core.rmem_max=12582912"]);
        assert_eq!(found("67108864", "1").severities(), [Severity::Good]);
        assert_eq!(found("67108864", "0").findings[1].check, "tstamp-prequeue");
    }
}
