//! Whether frames are kept whole.

use crate::doctor::Case;
use crate::doctor::finding::Findings;

const CHECK: &str = "mtu";
/// An Ethernet header and two VLAN tags.
const HEADERS: u32 = 14 + 2 * 4;
/// Most of a frame that tcpdump and wharf keep.
const WHOLE: u32 = 262_144;

pub(super) fn check(case: &Case<'_>, findings: &mut Findings) {
    let (mtu, snap) = (case.interface.mtu, case.asked.snap_length);
    let longest = mtu.saturating_add(HEADERS);
    let kept = if snap == 0 { WHOLE } else { snap.min(WHOLE) };
    if longest <= kept {
        return findings.good(CHECK, format!("MTU {mtu}: frames of up to {longest} bytes are kept whole"));
    }
    let found = format!("MTU {mtu}, but {kept} bytes are kept of a frame");
    let meaning = "longer frames are cut: what lies behind is not parsed, checksums over it cannot be verified, and \
                   files hold no more of it";
    findings.note(CHECK, found, meaning, Some(format!("wharf sniff -i {} -s 0", case.name())));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::made_up::{MadeUp, named, of_device};
    use crate::doctor::{Asked, Device, Severity};

    #[test]
    fn what_is_longer_than_the_snapshot_is_cut() {
        let found = |mtu, snap_length| {
            let mut interface = named("eth0");
            interface.mtu = mtu;
            let asked = Asked { snap_length, ..Asked::default() };
            of_device(check, &MadeUp::default(), &interface, &Device::default(), &asked)
        };
        assert_eq!(found(1500, 0).severities(), [Severity::Good]);
        assert_eq!(found(1500, 1522).severities(), [Severity::Good]);
        assert_eq!(found(1500, 1521).commands(), ["wharf sniff -i eth0 -s 0"]);
        assert_eq!(found(9000, 262_144).severities(), [Severity::Good]);
    }
}
