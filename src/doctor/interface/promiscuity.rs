//! Whose frames the device lets in.

use crate::doctor::Case;
use crate::doctor::finding::Findings;

const CHECK: &str = "promiscuity";

pub(super) fn check(case: &Case<'_>, findings: &mut Findings) {
    let wireless = case.sys.as_ref().is_some_and(|sys| case.host.list(&format!("{sys}/wireless")).is_ok());
    if wireless {
        let meaning = "promiscuous mode shows this host's own traffic only, as Ethernet frames; all that is in the air \
                       takes monitor mode";
        let command = format!("iw dev {} set type monitor", case.name());
        findings.note(CHECK, "a wireless interface", meaning, Some(command));
    }
    match case.interface.promiscuity {
        0 => findings.good(CHECK, "not promiscuous; a capture makes it so, unless told not to (-p)"),
        users => {
            let meaning = "others look on, or it is part of a bridge: frames for other hosts come in whether this capture \
                           asks for them (-p) or not";
            findings.note(CHECK, format!("promiscuous already ({users} have asked)"), meaning, None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::made_up::{MadeUp, named, of_device};
    use crate::doctor::{Asked, Device, Severity};

    #[test]
    fn who_looks_on_and_what_a_radio_needs() {
        let found = |promiscuity, files: &[(&str, &str)]| {
            let mut interface = named("wlan0");
            interface.promiscuity = promiscuity;
            let host = MadeUp::with(files.iter().copied());
            of_device(check, &host, &interface, &Device::default(), &Asked::default())
        };
        assert_eq!(found(0, &[]).severities(), [Severity::Good]);
        assert_eq!(found(2, &[]).only().found, "promiscuous already (2 have asked)");
        let radio = found(0, &[("/sys/class/net/wlan0/wireless/status", "0")]);
        assert_eq!(radio.commands(), ["iw dev wlan0 set type monitor"]);
    }
}
