//! Whether CPUs are slow until they have been busy for a while.

use crate::doctor::finding::Findings;
use crate::doctor::host::{Host, cpus};
use std::collections::BTreeMap;

const CHECK: &str = "governor";

pub(super) fn check(host: &dyn Host, findings: &mut Findings) {
    let online = host.read("/sys/devices/system/cpu/online").map(|list| cpus(&list)).unwrap_or_default();
    let mut by_name: BTreeMap<String, usize> = BTreeMap::new();
    for cpu in online {
        if let Ok(name) = host.read(&format!("/sys/devices/system/cpu/cpu{cpu}/cpufreq/scaling_governor")) {
            *by_name.entry(name).or_insert(0) += 1;
        }
    }
    if by_name.is_empty() {
        return findings
            .unseen(CHECK, "the CPUs' clock rate is not this kernel's to set (a virtual machine?)");
    }
    let list: Vec<_> = by_name.iter().map(|(name, count)| format!("{name} on {count}")).collect();
    let found = format!("clock rate governors: {}", list.join(", "));
    if by_name.keys().all(|name| name == "performance") {
        findings.good(CHECK, found);
    } else {
        let meaning = "a CPU that was idle is slow when a burst comes, which is when frames are lost";
        findings.warn(CHECK, found, meaning, Some("cpupower frequency-set -g performance".to_owned()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Severity;
    use crate::doctor::made_up::{MadeUp, of_host};

    #[test]
    fn one_slow_cpu_is_enough() {
        let found = |second: &str| {
            of_host(
                check,
                &MadeUp::with([
                    ("/sys/devices/system/cpu/online", "0-1"),
                    ("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "performance"),
                    ("/sys/devices/system/cpu/cpu1/cpufreq/scaling_governor", second),
                ]),
            )
        };
        assert_eq!(found("performance").severities(), [Severity::Good]);
        let slow = found("powersave");
        assert_eq!(slow.only().found, "clock rate governors: performance on 1, powersave on 1");
        assert_eq!(slow.severities(), [Severity::Warn]);
        assert_eq!(of_host(check, &MadeUp::default()).unseen, 1);
    }
}
