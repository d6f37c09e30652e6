//! How much memory may be kept from being paged out.

use crate::doctor::finding::Findings;
use crate::doctor::host::Host;

const CHECK: &str = "locked-memory";
/// Enough for AF_XDP's frames of some queues.
const ENOUGH: u64 = 64 << 20;

pub(super) fn check(host: &dyn Host, findings: &mut Findings) {
    match host.lockable() {
        None => findings.good(CHECK, "any amount of memory may be locked"),
        Some(bytes) if bytes >= ENOUGH => {
            findings.good(CHECK, format!("{} MiB of memory may be locked", bytes >> 20));
        }
        Some(bytes) => {
            let meaning = "AF_XDP's frames count against it (with CAP_IPC_LOCK they do not); AF_PACKET's ring never does";
            let found = format!("only {} KiB of memory may be locked", bytes >> 10);
            findings.note(CHECK, found, meaning, Some("ulimit -l unlimited".to_owned()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Severity;
    use crate::doctor::made_up::{MadeUp, of_host};

    #[test]
    fn limits() {
        let found = |lockable| of_host(check, &MadeUp { lockable, ..MadeUp::default() });
        assert_eq!(found(None).severities(), [Severity::Good]);
        assert_eq!(found(Some(64 << 20)).only().found, "64 MiB of memory may be locked");
        let little = found(Some(8 << 20));
        assert_eq!(
            (little.only().severity, little.commands()),
            (Severity::Note, vec!["ulimit -l unlimited"])
        );
    }
}
