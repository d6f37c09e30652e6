//! What the kernel takes times from, one for every frame.

use crate::doctor::finding::Findings;
use crate::doctor::host::Host;

const CHECK: &str = "clocksource";
const PLACE: &str = "/sys/devices/system/clocksource/clocksource0";
/// Those that are read like memory or faster. The others go through a device or the hypervisor.
const FAST: [&str; 5] = ["tsc", "kvm-clock", "arch_sys_counter", "hyperv_clocksource_tsc_page", "timebase"];

pub(super) fn check(host: &dyn Host, findings: &mut Findings) {
    let Ok(current) = host.read(&format!("{PLACE}/current_clocksource")) else {
        return findings.unseen(CHECK, "the kernel's clock source cannot be read");
    };
    if FAST.contains(&current.as_str()) {
        return findings.good(CHECK, format!("times are from {current}, which is fast to read"));
    }
    let available = host.read(&format!("{PLACE}/available_clocksource")).unwrap_or_default();
    let better = available.split_whitespace().find(|name| FAST.contains(name));
    let meaning = "each frame is stamped from it, and a read takes up to a microsecond or more";
    let command = better.map(|name| format!("echo {name} > {PLACE}/current_clocksource"));
    findings.warn(CHECK, format!("times are from {current}, which is slow to read"), meaning, command);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Severity;
    use crate::doctor::made_up::{MadeUp, of_host};

    #[test]
    fn slow_clocks_are_named_with_a_better_one() {
        let found = |current: &str| {
            let file = |leaf: &str| format!("{PLACE}/{leaf}");
            of_host(
                check,
                &MadeUp::with([
                    (file("current_clocksource"), current),
                    (file("available_clocksource"), "hpet tsc acpi_pm"),
                ]),
            )
        };
        assert_eq!(found("tsc").severities(), [Severity::Good]);
        let slow = found("hpet");
        assert_eq!(slow.severities(), [Severity::Warn]);
        assert_eq!(slow.commands(), [format!("echo tsc > {PLACE}/current_clocksource")]);
        assert_eq!(of_host(check, &MadeUp::default()).unseen, 1);
    }
}
