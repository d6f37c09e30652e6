//! Which memory the device is next to.

use crate::doctor::Case;
use crate::doctor::finding::Findings;
use crate::doctor::host::cpus;

const CHECK: &str = "numa";

pub(super) fn check(case: &Case<'_>, findings: &mut Findings) {
    let nodes = case.host.read("/sys/devices/system/node/online").map_or(1, |list| cpus(&list).len());
    if nodes < 2 {
        return;
    }
    let Some(sys) = &case.sys else {
        return findings.unseen(CHECK, "/sys shows another network namespace");
    };
    // A virtual device has none; -1 where the firmware does not say.
    let node = case.host.read(&format!("{sys}/device/numa_node")).ok();
    let Some(node) = node.and_then(|node| node.parse::<u32>().ok()) else { return };
    let list = case.host.read(&format!("/sys/devices/system/node/node{node}/cpulist")).unwrap_or_default();
    let meaning = "on another node's CPUs every frame is read from memory further away";
    let command = format!("wharf sniff -i {} --cores {list}", case.name());
    let command = (!list.is_empty()).then_some(command);
    findings.note(
        CHECK,
        format!("the device is on NUMA node {node} of {nodes}, CPUs {list}"),
        meaning,
        command,
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::made_up::{MadeUp, named, of_device};
    use crate::doctor::{Asked, Device};

    #[test]
    fn the_nodes_cpus_are_named_where_there_are_several_nodes() {
        let found = |nodes: &str, node: &str| {
            let host = MadeUp::with([
                ("/sys/devices/system/node/online", nodes),
                ("/sys/class/net/eth0/device/numa_node", node),
                ("/sys/devices/system/node/node1/cpulist", "8-15"),
            ]);
            of_device(check, &host, &named("eth0"), &Device::default(), &Asked::default())
        };
        assert_eq!(found("0-1", "1").commands(), ["wharf sniff -i eth0 --cores 8-15"]);
        assert!(found("0", "0").findings.is_empty());
        assert!(found("0-1", "-1").findings.is_empty());
    }
}
