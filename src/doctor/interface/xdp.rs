//! What sees frames before a capture, and what a faster way of capturing could rely on.

use crate::doctor::Case;
use crate::doctor::finding::Findings;

pub(super) fn check(case: &Case<'_>, findings: &mut Findings) {
    let name = case.name();
    let attached = case.device.state.known().and_then(|state| state.xdp);
    if let Some(program) = attached {
        let mode = match program.mode {
            1 => "in the driver",
            2 => "generic",
            3 => "in the device",
            _ => "several",
        };
        let meaning = "it sees frames before any capture through AF_PACKET: those it drops, sends back or redirects are \
                       not captured";
        let found = format!("an XDP program is attached ({mode}, number {})", program.program);
        findings.warn("xdp-program", found, meaning, Some(format!("ip link set dev {name} xdp off")));
    }
    let Some(features) = case.device.xdp.or_tell("xdp", findings) else {
        if case.device.xdp == crate::doctor::Answer::Nothing {
            findings.unseen("xdp", "this kernel does not tell what drivers can do with XDP (Linux 6.3 does)");
        }
        return;
    };
    if features.zero_copy() {
        findings.good("xdp", "the driver runs XDP, and hands AF_XDP sockets its own memory (zero copy)");
    } else if features.native() {
        findings.good("xdp", "the driver runs XDP; AF_XDP sockets get copies");
    } else {
        let meaning = "AF_XDP works in generic mode only: no faster than AF_PACKET";
        findings.note("xdp", "the driver does not run XDP", meaning, None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::made_up::of;
    use crate::doctor::{Answer, Device, Severity};
    use crate::sys::generic_netlink::XdpFeatures;
    use crate::sys::link_state::{LinkState, Xdp};

    #[test]
    fn a_program_before_us_and_what_the_driver_can_do() {
        let xdp = Some(Xdp { mode: 1, program: 42 });
        let state = Answer::Known(LinkState { xdp, ..LinkState::default() });
        let found = of(check, &Device { state, xdp: Answer::Known(XdpFeatures(0b11)), ..Device::default() });
        assert_eq!(found.severities(), [Severity::Warn, Severity::Good]);
        assert_eq!(found.findings[0].found, "an XDP program is attached (in the driver, number 42)");
        assert_eq!(found.commands(), ["ip link set dev eth0 xdp off"]);
        let none = of(check, &Device { xdp: Answer::Known(XdpFeatures(0)), ..Device::default() });
        assert_eq!(none.severities(), [Severity::Note]);
        assert_eq!(of(check, &Device::default()).unseen, 1);
    }
}
