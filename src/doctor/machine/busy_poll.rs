//! Whether readers of sockets poll devices themselves.

use super::number;
use crate::doctor::finding::Findings;
use crate::doctor::host::Host;

const CHECK: &str = "busy-poll";

pub(super) fn check(host: &dyn Host, findings: &mut Findings) {
    let poll = number(host, CHECK, "net.core.busy_poll", findings);
    let read = number(host, CHECK, "net.core.busy_read", findings);
    let (Some(poll), Some(read)) = (poll, read) else { return };
    if poll == 0 && read == 0 {
        return findings.good(CHECK, "waiting programs do not poll devices (busy polling off)");
    }
    let meaning = "programs that wait for sockets spin on the device: less delay for them, and a CPU's whole time, which a \
                   capture beside them misses";
    let command = "sysctl -w net.core.busy_poll=0 net.core.busy_read=0".to_owned();
    findings.note(
        CHECK,
        format!("busy polling: {poll} us in poll, {read} us in read"),
        meaning,
        Some(command),
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Severity;
    use crate::doctor::made_up::{MadeUp, of_host};

    #[test]
    fn on_and_off() {
        let found = |poll: &str| {
            let files = [("/proc/sys/net/core/busy_poll", poll), ("/proc/sys/net/core/busy_read", "0")];
            of_host(check, &MadeUp::with(files))
        };
        assert_eq!(found("0").severities(), [Severity::Good]);
        assert_eq!(found("50").only().found, "busy polling: 50 us in poll, 0 us in read");
        assert_eq!(of_host(check, &MadeUp::default()).unseen, 2);
    }
}
