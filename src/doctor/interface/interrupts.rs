//! Which CPUs the device's interrupts go to.

use crate::doctor::Case;
use crate::doctor::finding::Findings;
use crate::doctor::host::{cpus, online};

const CHECK: &str = "interrupts";

pub(super) fn check(case: &Case<'_>, findings: &mut Findings) {
    let Ok(table) = case.host.read("/proc/interrupts") else {
        return findings.unseen(CHECK, "/proc/interrupts cannot be read");
    };
    let lines = parse(&table);
    let wanted = numbers(case, &lines);
    let mine: Vec<&Interrupt> = lines.iter().filter(|line| wanted.contains(&line.number)).collect();
    if mine.is_empty() {
        // A virtual device has none.
        return;
    }
    let mut allowed = Vec::new();
    let mut places = Vec::new();
    for interrupt in &mine {
        let path = format!("/proc/irq/{}/effective_affinity_list", interrupt.number);
        let list = case
            .host
            .read(&path)
            .or_else(|_| case.host.read(&format!("/proc/irq/{}/smp_affinity_list", interrupt.number)));
        let Ok(list) = list else {
            return findings
                .unseen(CHECK, format!("the CPUs of interrupt {} cannot be read", interrupt.number));
        };
        places.push(format!(
            "{} on CPU {list} ({} so far)",
            interrupt.number,
            interrupt.counts.iter().sum::<u64>()
        ));
        allowed.push(cpus(&list));
    }
    let found = format!("interrupts: {}", places.join(", "));
    // Those that never came are for other things than frames.
    let mut busy: Vec<_> = mine
        .iter()
        .zip(&allowed)
        .filter(|(interrupt, _)| interrupt.counts.iter().any(|count| *count > 0))
        .collect();
    busy.dedup_by_key(|(interrupt, _)| interrupt.number);
    let places = busy.iter().map(|(_, allowed)| *allowed);
    let crowded = busy.len() > 1 && online(case.host) > 1 && one_for_all(places);
    if crowded {
        let meaning = "one CPU takes all of them, so that it receives what all queues bring: give each queue a CPU of its \
                       own (and stop irqbalance, or it moves them back)";
        let command = (busy.iter().enumerate())
            .map(|(cpu, (interrupt, _))| {
                format!("echo {} > /proc/irq/{}/smp_affinity_list", cpu % online(case.host), interrupt.number)
            })
            .collect::<Vec<_>>()
            .join("; ");
        findings.warn(CHECK, found, meaning, Some(command));
    } else {
        findings.good(CHECK, found);
    }
}

/// All of them go to the same one CPU.
fn one_for_all<'a>(mut places: impl Iterator<Item = &'a Vec<usize>>) -> bool {
    places.next().is_some_and(|first| first.len() == 1 && places.all(|other| other == first))
}

/// The device's interrupts: as the kernel has them by queue, as the bus has them, or by their names.
fn numbers(case: &Case<'_>, lines: &[Interrupt]) -> Vec<u32> {
    let by_queue: Vec<u32> =
        case.device.napis.known().into_iter().flatten().filter_map(|napi| napi.irq).collect();
    if !by_queue.is_empty() {
        return by_queue;
    }
    let of_bus = |directory: String| -> Vec<u32> {
        case.host.list(&directory).unwrap_or_default().iter().filter_map(|name| name.parse().ok()).collect()
    };
    if let Some(sys) = &case.sys {
        // A virtio device has its interrupts at the bus device above it.
        for directory in [format!("{sys}/device/msi_irqs"), format!("{sys}/device/../msi_irqs")] {
            let found = of_bus(directory);
            if !found.is_empty() {
                return found;
            }
        }
    }
    let name = case.name();
    let names = |line: &&Interrupt| {
        line.name.split(|c: char| !c.is_alphanumeric() && c != '.').any(|word| word == name)
    };
    lines.iter().filter(names).map(|line| line.number).collect()
}

/// A line of `/proc/interrupts` with a number.
struct Interrupt {
    number: u32,
    /// How often each CPU has taken it.
    counts: Vec<u64>,
    name: String,
}

fn parse(table: &str) -> Vec<Interrupt> {
    let mut lines = table.lines();
    let cpus = lines.next().map_or(0, |header| header.split_whitespace().count());
    lines
        .filter_map(|line| {
            let (number, rest) = line.trim_start().split_once(':')?;
            let mut words = rest.split_whitespace();
            let counts: Vec<u64> = words.by_ref().take(cpus).map_while(|word| word.parse().ok()).collect();
            let name = words.collect::<Vec<_>>().join(" ");
            Some(Interrupt { number: number.parse().ok()?, counts, name })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::made_up::{MadeUp, named, of_device};
    use crate::doctor::{Answer, Asked, Device, Severity};
    use crate::sys::generic_netlink::Napi;

    const TABLE: &str = "           CPU0       CPU1
  1:          9          0   IO-APIC   1-edge      i8042
 25:          0          0  PCI-MSIX-0000:00:03.0   0-edge      virtio0-config
 26:       1000          5  PCI-MSIX-0000:00:03.0   1-edge      eth0-rx-0
 27:       2000          0  PCI-MSIX-0000:00:03.0   2-edge      eth0-rx-1
NMI:          0          0   Non-maskable interrupts";

    fn host(first: &str, second: &str) -> MadeUp {
        MadeUp::with([
            ("/proc/interrupts", TABLE),
            ("/sys/devices/system/cpu/online", "0-1"),
            ("/proc/irq/26/effective_affinity_list", first),
            ("/proc/irq/27/smp_affinity_list", second),
        ])
    }

    #[test]
    fn all_on_one_cpu_is_a_crowd() {
        let found =
            |host: &MadeUp| of_device(check, host, &named("eth0"), &Device::default(), &Asked::default());
        let crowd = found(&host("0", "0"));
        assert_eq!(crowd.severities(), [Severity::Warn]);
        let command = "echo 0 > /proc/irq/26/smp_affinity_list; echo 1 > /proc/irq/27/smp_affinity_list";
        assert_eq!(crowd.commands(), [command]);
        let spread = found(&host("0", "1"));
        assert_eq!(spread.only().found, "interrupts: 26 on CPU 0 (1005 so far), 27 on CPU 1 (2000 so far)");
    }

    #[test]
    fn they_are_found_by_queue_by_bus_or_by_name() {
        let mut host = host("0", "1");
        let of = |host: &MadeUp, device: &Device, name: &str| {
            of_device(check, host, &named(name), device, &Asked::default())
        };
        assert!(of(&host, &Device::default(), "eth").findings.is_empty(), "another's");
        let napis = Answer::Known(vec![Napi { id: 8, irq: Some(27), thread: None }]);
        let device = Device { napis, ..Device::default() };
        assert_eq!(of(&host, &device, "nic").only().found, "interrupts: 27 on CPU 1 (2000 so far)");
        host.files.insert("/sys/class/net/nic/device/../msi_irqs/26".into(), "msix".into());
        assert_eq!(
            of(&host, &Device::default(), "nic").only().found,
            "interrupts: 26 on CPU 0 (1005 so far)"
        );
        assert_eq!(of(&MadeUp::default(), &Device::default(), "nic").unseen, 1);
    }
}
