//! CPUs that nobody uses unless told to.

use crate::doctor::finding::Findings;
use crate::doctor::host::{Host, online};

const CHECK: &str = "isolation";

pub(super) fn check(host: &dyn Host, findings: &mut Findings) {
    let list = |leaf: &str| host.read(&format!("/sys/devices/system/cpu/{leaf}")).unwrap_or_default();
    let (isolated, tickless) = (list("isolated"), list("nohz_full"));
    let tickless = Some(tickless).filter(|list| !list.is_empty() && !list.starts_with('('));
    let cpus = online(host);
    if isolated.is_empty() {
        return findings.good(
            CHECK,
            format!("no CPU of {cpus} is kept free: a capture shares them with other programs"),
        );
    }
    let clock = tickless.map_or_else(String::new, |list| format!(", without clock ticks: {list}"));
    let meaning = "the scheduler puts nothing there by itself: a capture has them to itself when it is told to use them";
    let command = format!("wharf sniff --cores {isolated}");
    findings.note(CHECK, format!("CPUs kept free: {isolated}{clock}"), meaning, Some(command));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Severity;
    use crate::doctor::made_up::{MadeUp, of_host};

    #[test]
    fn free_cpus_are_offered() {
        let found = |isolated: &str, tickless: &str| {
            of_host(
                check,
                &MadeUp::with([
                    ("/sys/devices/system/cpu/isolated", isolated),
                    ("/sys/devices/system/cpu/nohz_full", tickless),
                ]),
            )
        };
        assert_eq!(found("", "(null)").severities(), [Severity::Good]);
        let free = found("2-3", "2-3");
        assert_eq!(free.only().found, "CPUs kept free: 2-3, without clock ticks: 2-3");
        assert_eq!(free.commands(), ["wharf sniff --cores 2-3"]);
    }
}
