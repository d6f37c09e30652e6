//! What this process may do (capabilities(7)).

use crate::doctor::finding::Findings;
use crate::doctor::host::Host;

const CHECK: &str = "capabilities";

/// `CAP_*` of `linux/capability.h`.
const NET_ADMIN: u32 = 12;
const NET_RAW: u32 = 13;
const IPC_LOCK: u32 = 14;
const SYS_ADMIN: u32 = 21;
const SYS_NICE: u32 = 23;
const BPF: u32 = 39;

pub(super) fn check(host: &dyn Host, findings: &mut Findings) {
    let status = host.read("/proc/thread-self/status").unwrap_or_default();
    let Some(held) = effective(&status) else {
        return findings.unseen(CHECK, "/proc/thread-self/status does not tell");
    };
    let has = |capability: u32| held & 1 << capability != 0;
    let program = host.program();
    let give = |names: &str| Some(format!("sudo setcap {names}+ep {program}"));
    if !has(NET_RAW) {
        let meaning = "nothing can be captured by this user with this program";
        findings.bad(CHECK, "CAP_NET_RAW is missing", meaning, give("cap_net_raw,cap_net_admin"));
    }
    if !has(NET_ADMIN) {
        let meaning = "devices cannot be changed, AF_XDP cannot be used, and what the other end of a veth loses in \
                       another namespace cannot be seen";
        findings.note(CHECK, "CAP_NET_ADMIN is missing", meaning, give("cap_net_raw,cap_net_admin"));
    }
    if !has(BPF) && !has(SYS_ADMIN) {
        let meaning = "BPF programs cannot be loaded: no AF_XDP";
        findings.note(
            CHECK,
            "CAP_BPF (or CAP_SYS_ADMIN) is missing",
            meaning,
            give("cap_net_raw,cap_net_admin,cap_bpf"),
        );
    }
    let wishes = [
        (IPC_LOCK, "CAP_IPC_LOCK", "lock memory beyond its limit"),
        (SYS_NICE, "CAP_SYS_NICE", "run with a real-time priority, so that others do not hold it up"),
    ];
    let missing: Vec<_> = wishes.into_iter().filter(|(capability, ..)| !has(*capability)).collect();
    if !missing.is_empty() {
        let names: Vec<_> = missing.iter().map(|(_, name, _)| *name).collect();
        let uses: Vec<_> = missing.iter().map(|(_, _, meaning)| *meaning).collect();
        let meaning = format!("a capture works without; it cannot {}", uses.join(", nor "));
        findings.note(CHECK, format!("{} missing", names.join(", ")), &meaning, None);
    }
    if has(NET_RAW) && has(NET_ADMIN) {
        findings.good(CHECK, "this process may capture and change devices (CAP_NET_RAW, CAP_NET_ADMIN)");
    }
}

/// The mask in the line `CapEff:`.
fn effective(status: &str) -> Option<u64> {
    let mask = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(mask.trim(), 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Severity::{Bad, Good, Note};
    use crate::doctor::made_up::{MadeUp, of_host};

    fn found(mask: &str) -> crate::doctor::made_up::Found {
        let status = format!("Name:\twharf\nCapPrm:\t0\nCapEff:\t{mask}\n");
        of_host(check, &MadeUp::with([("/proc/thread-self/status", status)]))
    }

    #[test]
    fn what_is_missing_is_named_with_the_remedy() {
        assert_eq!(found("000001ffffffffff").severities(), [Good]);
        let none = found("0000000000000000");
        assert_eq!(none.severities(), [Bad, Note, Note, Note]);
        assert_eq!(none.commands()[0], "sudo setcap cap_net_raw,cap_net_admin+ep /usr/bin/wharf");
        // NET_RAW and NET_ADMIN alone.
        assert_eq!(found("0000000000003000").severities(), [Note, Note, Good]);
        assert_eq!(of_host(check, &MadeUp::default()).unseen, 1);
    }
}
