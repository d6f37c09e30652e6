//! How much a CPU receives at a time before others get their turn.

use super::number;
use crate::doctor::finding::Findings;
use crate::doctor::host::Host;
use crate::sys::softnet::{self, SoftnetTotals};

const CHECK: &str = "budget";
/// The kernel's own.
const USUAL: u64 = 300;

pub(super) fn check(host: &dyn Host, findings: &mut Findings) {
    let Some(budget) = number(host, CHECK, "net.core.netdev_budget", findings) else { return };
    let time = number(host, CHECK, "net.core.netdev_budget_usecs", findings).unwrap_or(0);
    let table = host.read("/proc/net/softnet_stat").unwrap_or_default();
    let cpus = softnet::parse(&table);
    let processed: u64 = cpus.iter().map(|cpu| cpu.processed).sum();
    let squeezed = SoftnetTotals::of(&cpus).squeezed;
    let found = format!("a CPU receives up to {budget} frames or {time} us at a time");
    let more = || {
        let (frames, time) = (budget.max(USUAL) * 2, time.max(2_000) * 2);
        Some(format!("sysctl -w net.core.netdev_budget={frames} net.core.netdev_budget_usecs={time}"))
    };
    // Once in a while is nothing; once in some hundred frames it lives at the limit.
    if squeezed.saturating_mul(1_000) > processed {
        let meaning = "it has often stopped with frames left to receive, which then wait in the device's ring: raise it, \
                       at some cost to other programs on that CPU";
        findings.warn(CHECK, format!("{found}, and had to stop {squeezed} times"), meaning, more());
    } else if budget < USUAL {
        let meaning = "less than the kernel's usual 300: bursts wait in the device's ring";
        findings.note(CHECK, found, meaning, more());
    } else {
        findings.good(CHECK, format!("{found}; it had to stop {squeezed} times with frames left"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Severity;
    use crate::doctor::made_up::{MadeUp, of_host};

    #[test]
    fn living_at_the_limit_is_worse_than_touching_it() {
        let found = |budget: &str, table: &str| {
            of_host(
                check,
                &MadeUp::with([
                    ("/proc/sys/net/core/netdev_budget", budget),
                    ("/proc/sys/net/core/netdev_budget_usecs", "2000"),
                    ("/proc/net/softnet_stat", table),
                ]),
            )
        };
        assert_eq!(found("300", "00100000 0 00000010").severities(), [Severity::Good]);
        assert_eq!(found("64", "00100000 0 00000000").severities(), [Severity::Note]);
        let often = found("300", "00001000 0 00000100");
        assert_eq!(often.severities(), [Severity::Warn]);
        assert_eq!(
            often.commands(),
            ["sysctl -w net.core.netdev_budget=600 net.core.netdev_budget_usecs=4000"]
        );
        assert_eq!(of_host(check, &MadeUp::default()).unseen, 1);
    }
}
