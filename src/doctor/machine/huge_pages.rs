//! Whether large buffers can have large pages.

use crate::doctor::finding::Findings;
use crate::doctor::host::Host;

const CHECK: &str = "huge-pages";
const SWITCH: &str = "/sys/kernel/mm/transparent_hugepage/enabled";

pub(super) fn check(host: &dyn Host, findings: &mut Findings) {
    let Ok(setting) = host.read(SWITCH) else {
        return findings.unseen(CHECK, "this kernel has no transparent huge pages");
    };
    // All choices, the one in force in brackets.
    let chosen =
        setting.split_once('[').and_then(|(_, rest)| rest.split_once(']')).map_or("", |(word, _)| word);
    let meminfo = host.read("/proc/meminfo").unwrap_or_default();
    let reserved =
        meminfo.lines().find_map(|line| line.strip_prefix("HugePages_Total:")).map_or("0", str::trim);
    let found = format!("transparent huge pages: {chosen}; {reserved} reserved");
    if chosen == "never" {
        let meaning = "large buffers are in pages of 4 KiB: reading frames from memory that is not in a cache takes up to \
                       1.7 times as long";
        findings.note(CHECK, found, meaning, Some(format!("echo madvise > {SWITCH}")));
    } else {
        findings.good(CHECK, found);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Severity;
    use crate::doctor::made_up::{MadeUp, of_host};

    #[test]
    fn settings() {
        let found = |setting: &str| {
            of_host(
                check,
                &MadeUp::with([
                    (SWITCH, setting),
                    ("/proc/meminfo", "MemTotal: 1 kB\nHugePages_Total:      16\n"),
                ]),
            )
        };
        assert_eq!(
            found("always [madvise] never").only().found,
            "transparent huge pages: madvise; 16 reserved"
        );
        assert_eq!(found("always madvise [never]").severities(), [Severity::Note]);
        assert_eq!(of_host(check, &MadeUp::default()).unseen, 1);
    }
}
