//! What CPUs have dropped between driver and stack.

use super::number;
use crate::doctor::finding::Findings;
use crate::doctor::host::Host;
use crate::sys::softnet;

const CHECK: &str = "backlog";

pub(super) fn check(host: &dyn Host, findings: &mut Findings) {
    let Ok(table) = host.read("/proc/net/softnet_stat") else {
        return findings.unseen(CHECK, "/proc/net/softnet_stat cannot be read");
    };
    let cpus = softnet::parse(&table);
    let most = number(host, CHECK, "net.core.netdev_max_backlog", findings);
    let length = most.map_or_else(String::new, |most| format!(" of {most} frames"));
    let dropping: Vec<_> = cpus.iter().filter(|cpu| cpu.dropped > 0).collect();
    if dropping.is_empty() {
        return findings
            .good(CHECK, format!("no CPU's backlog{length} has overflowed since the host started"));
    }
    let list: Vec<_> = dropping.iter().map(|cpu| format!("{} on CPU {}", cpu.dropped, cpu.cpu)).collect();
    let meaning = "frames that came through the loopback, a veth or another CPU (RPS) were dropped before any capture, of \
                   whatever interface: this is the host's, not one interface's";
    let command =
        most.map(|most| format!("sysctl -w net.core.netdev_max_backlog={}", most.saturating_mul(10)));
    findings.warn(
        CHECK,
        format!("backlogs{length} have overflowed: {} dropped", list.join(", ")),
        meaning,
        command,
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Severity;
    use crate::doctor::made_up::{MadeUp, of_host};

    #[test]
    fn who_dropped_is_named() {
        let found = |dropped: &str| {
            let table = format!("0000ffff 00000000 00000000\n0000ffff {dropped} 00000000\n");
            let most = ("/proc/sys/net/core/netdev_max_backlog", "1000".to_owned());
            of_host(check, &MadeUp::with([("/proc/net/softnet_stat", table), most]))
        };
        assert_eq!(found("00000000").severities(), [Severity::Good]);
        let some = found("0000000a");
        assert_eq!(some.only().found, "backlogs of 1000 frames have overflowed: 10 on CPU 1 dropped");
        assert_eq!(some.commands(), ["sysctl -w net.core.netdev_max_backlog=10000"]);
        // In another namespace the limit cannot be seen, the drops can.
        let host = MadeUp::with([("/proc/net/softnet_stat", "1 2 3")]);
        let half = of_host(check, &host);
        assert_eq!((half.severities(), half.unseen, half.commands().len()), (vec![Severity::Warn], 1, 0));
    }
}
