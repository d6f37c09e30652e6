//! Whether anything can come in at all, and how fast.

use crate::doctor::Case;
use crate::doctor::finding::Findings;

const CHECK: &str = "link";

pub(super) fn check(case: &Case<'_>, findings: &mut Findings) {
    let (name, interface) = (case.name(), case.interface);
    if !interface.is_up() {
        let command = format!("ip link set dev {name} up");
        return findings.bad(CHECK, "the interface is down", "nothing comes in or goes out", Some(command));
    }
    if !interface.is_running() {
        let meaning =
            "nothing comes in: no cable, the other end is down, or of a tunnel or bridge nobody is there";
        return findings.bad(CHECK, "no carrier", meaning, None);
    }
    let link = case.device.link.or_tell(CHECK, findings).copied().unwrap_or_default();
    let speed = link.speed.map_or_else(|| "speed unknown".to_owned(), |speed| format!("{speed} Mbit/s"));
    if link.full_duplex == Some(false) {
        let meaning = "one end at a time: frames collide, and are late or lost";
        let command = format!("ethtool -s {name} autoneg on");
        return findings.bad(CHECK, format!("{speed}, half duplex"), meaning, Some(command));
    }
    let duplex = if link.full_duplex == Some(true) { ", full duplex" } else { "" };
    findings.good(CHECK, format!("running, {speed}{duplex}"));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::made_up::{MadeUp, named, of, of_device};
    use crate::doctor::{Answer, Asked, Device, Severity};
    use crate::sys::ethtool::Link;

    #[test]
    fn links() {
        let with = |speed, full_duplex| Device {
            link: Answer::Known(Link { speed, full_duplex }),
            ..Device::default()
        };
        assert_eq!(
            of(check, &with(Some(10_000), Some(true))).only().found,
            "running, 10000 Mbit/s, full duplex"
        );
        assert_eq!(of(check, &Device::default()).only().found, "running, speed unknown");
        let half = of(check, &with(Some(100), Some(false)));
        assert_eq!(
            (half.severities(), half.commands()),
            (vec![Severity::Bad], vec!["ethtool -s eth0 autoneg on"])
        );

        let mut interface = named("eth0");
        let found = |interface: &crate::sys::InterfaceInfo| {
            of_device(check, &MadeUp::default(), interface, &Device::default(), &Asked::default())
        };
        interface.flags = libc::IFF_UP as u32;
        assert_eq!(found(&interface).only().found, "no carrier");
        interface.flags = 0;
        assert_eq!(found(&interface).commands(), ["ip link set dev eth0 up"]);
    }
}
