//! What becomes of filter programs in the kernel.

use super::number;
use crate::doctor::finding::Findings;
use crate::doctor::host::Host;

pub(super) fn check(host: &dyn Host, findings: &mut Findings) {
    match number(host, "bpf-jit", "net.core.bpf_jit_enable", findings) {
        Some(0) => {
            let meaning = "filters are interpreted for every frame, several times slower than compiled";
            let command = "sysctl -w net.core.bpf_jit_enable=1".to_owned();
            findings.warn("bpf-jit", "BPF programs are not compiled", meaning, Some(command));
        }
        Some(_) => findings.good("bpf-jit", "BPF programs are compiled (JIT on)"),
        None => {}
    }
    match number(host, "bpf-unprivileged", "kernel.unprivileged_bpf_disabled", findings) {
        Some(0) => {
            let meaning = "anybody may load BPF programs: no matter for captures, but many hosts forbid it";
            let command = "sysctl -w kernel.unprivileged_bpf_disabled=1".to_owned();
            findings.note("bpf-unprivileged", "BPF is open to everybody", meaning, Some(command));
        }
        Some(value) => {
            let found =
                format!("BPF takes CAP_BPF (unprivileged_bpf_disabled={value}); filters of captures do not");
            findings.good("bpf-unprivileged", found);
        }
        None => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Severity::{Good, Note, Warn};
    use crate::doctor::made_up::{MadeUp, of_host};

    #[test]
    fn compiled_and_open_or_not() {
        let found = |jit: &str, disabled: &str| {
            of_host(
                check,
                &MadeUp::with([
                    ("/proc/sys/net/core/bpf_jit_enable", jit),
                    ("/proc/sys/kernel/unprivileged_bpf_disabled", disabled),
                ]),
            )
        };
        assert_eq!(found("1", "2").severities(), [Good, Good]);
        let slow = found("0", "0");
        assert_eq!(slow.severities(), [Warn, Note]);
        assert_eq!(slow.commands()[0], "sysctl -w net.core.bpf_jit_enable=1");
        assert_eq!(of_host(check, &MadeUp::default()).unseen, 2);
    }
}
