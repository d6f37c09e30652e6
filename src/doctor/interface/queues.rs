//! Over how many queues, and so CPUs, the device spreads what comes in.

use crate::doctor::Case;
use crate::doctor::finding::Findings;
use crate::doctor::host::online;

const CHECK: &str = "queues";

pub(super) fn check(case: &Case<'_>, findings: &mut Findings) {
    let Some(channels) = case.device.channels.or_tell(CHECK, findings) else { return };
    let (now, most) = (channels.receiving(), channels.receiving_most());
    let cpus = u32::try_from(online(case.host)).unwrap_or(u32::MAX);
    let useful = most.min(cpus);
    if now >= useful && (now > 1 || cpus == 1) {
        return findings.good(CHECK, format!("{now} receive queues for {cpus} CPUs"));
    }
    if now < useful {
        let kind = if channels.combined.1 > 0 { "combined" } else { "rx" };
        let found = format!("{now} of {most} receive queues are in use, for {cpus} CPUs");
        let meaning =
            "each queue has one CPU to receive on: with more of them the load of many flows is spread (RSS)";
        return findings.note(
            CHECK,
            found,
            meaning,
            Some(format!("ethtool -L {} {kind} {useful}", case.name())),
        );
    }
    let meaning = "one CPU receives everything: it is the first to have too much. Receive packet steering can give part \
                   of the work to others";
    findings.note(CHECK, format!("the device has one receive queue, for {cpus} CPUs"), meaning, None);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::made_up::{MadeUp, named, of_device};
    use crate::doctor::{Answer, Asked, Device, Severity};
    use crate::sys::ethtool::Channels;

    #[test]
    fn no_more_queues_than_cpus_are_of_use() {
        let found = |combined, cpus| {
            let host = MadeUp::with([("/sys/devices/system/cpu/online", cpus)]);
            let channels = Answer::Known(Channels { combined, ..Channels::default() });
            let device = Device { channels, ..Device::default() };
            of_device(check, &host, &named("eth0"), &device, &Asked::default())
        };
        assert_eq!(found((4, 64), "0-3").severities(), [Severity::Good]);
        assert_eq!(found((2, 64), "0-3").commands(), ["ethtool -L eth0 combined 4"]);
        let one = found((1, 1), "0-3");
        assert!(one.severities() == [Severity::Note] && one.commands().is_empty());
        assert_eq!(found((1, 1), "0").severities(), [Severity::Good]);
    }
}
