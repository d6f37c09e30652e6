//! Work that one CPU hands on to others: RPS, RFS, XPS (`Documentation/networking/scaling.rst`).

use crate::doctor::Case;
use crate::doctor::finding::Findings;
use crate::doctor::host::online;

pub(super) fn check(case: &Case<'_>, findings: &mut Findings) {
    let name = case.name();
    let Some(sys) = &case.sys else {
        return findings.unseen("rps", "/sys shows another network namespace");
    };
    let Ok(queues) = case.host.list(&format!("{sys}/queues")) else {
        return findings.unseen("rps", format!("{sys}/queues cannot be read"));
    };
    let of = |kind: &str, leaf: &str| -> Vec<String> {
        let some = queues.iter().filter(|queue| queue.starts_with(kind));
        some.filter_map(|queue| case.host.read(&format!("{sys}/queues/{queue}/{leaf}")).ok()).collect()
    };
    let (steered, flows) = (of("rx-", "rps_cpus"), of("rx-", "rps_flow_cnt"));
    if steered.is_empty() {
        return findings.unseen("rps", "this kernel has no receive packet steering");
    }
    let masks: Vec<_> = steered.iter().filter(|mask| is_any(mask)).map(String::as_str).collect();
    if !masks.is_empty() {
        let meaning = "frames go on through the backlog of another CPU: that spreads the load, and has a limit of its \
                       own (net.core.netdev_max_backlog), beyond which they are dropped before any capture";
        let command = format!("for q in /sys/class/net/{name}/queues/rx-*; do echo 0 > $q/rps_cpus; done");
        findings.note(
            "rps",
            format!("packets are steered to CPUs {} (RPS)", masks.join(" ")),
            meaning,
            Some(command),
        );
    } else if steered.len() == 1 && online(case.host) > 1 && !case.interface.is_loopback() {
        let meaning = "one queue and no steering: one CPU does all that comes before the capture";
        let mask = all_but_the_first(online(case.host));
        let command = format!("echo {mask} > /sys/class/net/{name}/queues/rx-0/rps_cpus");
        findings.note("rps", "packets are not steered to other CPUs (RPS off)", meaning, Some(command));
    } else {
        findings.good("rps", "each queue's packets stay on its CPU (RPS off)");
    }
    if flows.iter().any(|count| count != "0") {
        let meaning =
            "packets follow the program that reads them to its CPU: of no use to a capture, which reads all";
        findings.note("rfs", "flows are steered to their readers (RFS)", meaning, None);
    }
    let senders = of("tx-", "xps_cpus");
    if senders.iter().any(|mask| is_any(mask)) {
        let meaning = "each CPU sends through a queue of its own: of no account for what is received";
        findings.note("xps", "CPUs have their own transmit queues (XPS)", meaning, None);
    }
}

/// A mask such as `00000000,00000003` that names a CPU.
fn is_any(mask: &str) -> bool {
    mask.chars().any(|digit| digit.is_ascii_hexdigit() && digit != '0')
}

/// A mask, in words of 32 bits as the kernel reads it.
fn all_but_the_first(cpus: usize) -> String {
    let word = |number: usize| -> u32 {
        (0..32).filter(|bit| (1..cpus).contains(&(number * 32 + bit))).fold(0, |word, bit| word | 1 << bit)
    };
    let words = (0..cpus.div_ceil(32)).rev().map(word);
    words.map(|word| format!("{word:x}")).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::made_up::{MadeUp, named, of_device};
    use crate::doctor::{Asked, Device, Severity};

    fn found(files: &[(&str, &str)]) -> crate::doctor::made_up::Found {
        let files = files.iter().map(|(leaf, text)| (format!("/sys/class/net/eth0/queues/{leaf}"), *text));
        let mut host = MadeUp::with(files);
        host.files.insert("/sys/devices/system/cpu/online".into(), "0-3".into());
        of_device(check, &host, &named("eth0"), &Device::default(), &Asked::default())
    }

    #[test]
    fn steering_is_told_and_offered_where_there_is_one_queue() {
        let on = found(&[("rx-0/rps_cpus", "00000000,0000000c"), ("rx-0/rps_flow_cnt", "32768")]);
        assert_eq!(on.severities(), [Severity::Note, Severity::Note]);
        assert!(on.findings[0].found.contains("0000000c"));
        let off = found(&[("rx-0/rps_cpus", "0"), ("rx-0/rps_flow_cnt", "0"), ("tx-0/xps_cpus", "3")]);
        assert_eq!(off.commands(), ["echo e > /sys/class/net/eth0/queues/rx-0/rps_cpus"]);
        assert_eq!(off.findings[1].check, "xps");
        let two = found(&[("rx-0/rps_cpus", "0"), ("rx-1/rps_cpus", "0")]);
        assert_eq!(two.severities(), [Severity::Good]);
        assert_eq!(found(&[]).unseen, 1);
    }

    #[test]
    fn masks() {
        assert_eq!(all_but_the_first(2), "2");
        assert_eq!(all_but_the_first(34), "3,fffffffe");
        assert!(!is_any("00000000,00000000") && is_any("00000001,00000000"));
    }
}
