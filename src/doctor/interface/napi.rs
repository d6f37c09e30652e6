//! Who runs the driver's polling.

use crate::doctor::Case;
use crate::doctor::finding::Findings;

const CHECK: &str = "napi";

pub(super) fn check(case: &Case<'_>, findings: &mut Findings) {
    let name = case.name();
    let setting = |leaf: &str| {
        let sys = case.sys.as_ref()?;
        case.host.read(&format!("{sys}/{leaf}")).ok()
    };
    let by_threads =
        case.device.napis.known().is_some_and(|all| all.iter().any(|napi| napi.thread.is_some()));
    let threaded = by_threads || setting("threaded").is_some_and(|value| value != "0");
    let command = Some(format!("echo 0 > /sys/class/net/{name}/threaded"));
    match (threaded, case.interface.kind.as_deref()) {
        (true, Some("veth")) => {
            let meaning = "a thread takes frames from a ring of 256: when it does not keep up they vanish into the other \
                           end's tx_dropped, which no capture on either end shows";
            findings.warn(CHECK, "a veth with threaded NAPI", meaning, command);
        }
        (true, _) => {
            let meaning = "kernel threads (napi/...) receive, and compete with other programs: pin them, or give them a \
                           real-time priority, or the device's ring overflows while they wait";
            findings.note(CHECK, "threaded NAPI is on", meaning, command);
        }
        (false, _) if case.device.napis.known().is_none() && setting("threaded").is_none() => {
            findings.unseen(CHECK, "this kernel does not tell whether NAPI is threaded");
        }
        (false, _) => findings.good(CHECK, "frames are received in soft interrupts (NAPI not threaded)"),
    }
    let deferred = |leaf| setting(leaf).filter(|value| value != "0");
    if let (Some(irqs), Some(timeout)) = (deferred("napi_defer_hard_irqs"), deferred("gro_flush_timeout")) {
        let meaning = "the device is polled by a timer and not by interrupts as long as something comes: cheaper, but \
                       frames are later by up to that time";
        let found = format!("interrupts are put off ({irqs} rounds, {timeout} ns)");
        let command = format!("echo 0 > /sys/class/net/{name}/napi_defer_hard_irqs");
        findings.note("napi-defer", found, meaning, Some(command));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::made_up::{MadeUp, named, of_device};
    use crate::doctor::{Answer, Asked, Device, Severity};
    use crate::sys::generic_netlink::Napi;

    fn found(
        kind: Option<&str>,
        thread: Option<u32>,
        files: &[(&str, &str)],
    ) -> crate::doctor::made_up::Found {
        let files = files.iter().map(|(leaf, text)| (format!("/sys/class/net/eth0/{leaf}"), *text));
        let mut interface = named("eth0");
        interface.kind = kind.map(str::to_owned);
        let napis = Answer::Known(vec![Napi { id: 1, irq: None, thread }]);
        let device = Device { napis, ..Device::default() };
        of_device(check, &MadeUp::with(files), &interface, &device, &Asked::default())
    }

    #[test]
    fn a_veth_with_a_thread_loses_unseen() {
        assert_eq!(found(Some("veth"), Some(77), &[]).severities(), [Severity::Warn]);
        assert_eq!(found(None, None, &[("threaded", "1")]).severities(), [Severity::Note]);
        assert_eq!(found(Some("veth"), None, &[("threaded", "0")]).severities(), [Severity::Good]);
    }

    #[test]
    fn deferral_is_noted_where_both_are_set() {
        let both = [("napi_defer_hard_irqs", "2"), ("gro_flush_timeout", "20000")];
        assert_eq!(found(None, None, &both).findings[1].check, "napi-defer");
        assert_eq!(found(None, None, &both[..1]).findings.len(), 1);
    }
}
