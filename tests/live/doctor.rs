//! What the doctor sees of interfaces that are set one way and another.

use crate::skip;
use crate::support::network::quiet_lab;
use std::collections::BTreeMap;
use std::io;
use std::process::Command;
use wharf::doctor::{Asked, Diagnosis, LinkCondition, Severity, ThisHost, examine};
use wharf::sys::ethtool::Ethtool;
use wharf::sys::lab::Host;
use wharf::sys::link;

fn examined(host: &Host) -> Diagnosis {
    let asked = Asked { interface: Some(host.interface.to_owned()), ..Asked::default() };
    let examined = host.namespace.run(|| examine(&ThisHost::new()?, &asked).map_err(io::Error::other));
    examined.expect("an examination")
}

/// Severity and command of what was found about the interface by that check.
fn finding<'d>(diagnosis: &'d Diagnosis, check: &str) -> (Severity, Option<&'d str>) {
    let mut of_interface = diagnosis.findings.iter().filter(|finding| finding.interface.is_some());
    let found = of_interface.find(|finding| finding.check == check);
    let found = found.unwrap_or_else(|| panic!("nothing about {check}: {diagnosis:?}"));
    (found.severity, found.command.as_deref())
}

pub(crate) fn joined_frames_are_seen_to_be_on_and_off() {
    let lab = quiet_lab();
    let set = |feature: &'static str, on| {
        lab.server.namespace.run(|| Ethtool::open()?.set_feature("server", feature, on)).expect("switched");
        examined(&lab.server)
    };
    let on = (Severity::Warn, Some("ethtool -K server gro off"));
    assert_eq!(finding(&set("rx-gro", true), "gro"), on);
    assert_eq!(finding(&set("rx-gro", false), "gro"), (Severity::Good, None));
    let both = finding(&set("tx-tcp-segmentation", true), "tso").1.map(str::to_owned);
    assert!(both.is_some_and(|command| command.starts_with("ethtool -K server tso off")));
}

pub(crate) fn the_command_that_is_named_makes_the_finding_good() {
    let lab = quiet_lab();
    lab.server.namespace.run(|| Ethtool::open()?.set_feature("server", "rx-gro", true)).expect("switched");
    let before = examined(&lab.server);
    let command = finding(&before, "gro").1.expect("a command");
    let ran = lab.server.namespace.run(|| Command::new("sh").args(["-c", command]).output());
    match ran {
        Ok(output) if output.status.success() => {
            assert_eq!(finding(&examined(&lab.server), "gro"), (Severity::Good, None));
        }
        Ok(output) if output.status.code() == Some(127) => skip("no ethtool here"),
        other => panic!("{command}: {other:?}"),
    }
}

pub(crate) fn a_link_that_is_down_is_bad() {
    let lab = quiet_lab();
    assert_eq!(finding(&examined(&lab.server), "link"), (Severity::Good, None));
    lab.server.namespace.run(|| link::set_up("server", false)).expect("down");
    let down = examined(&lab.server);
    assert_eq!(finding(&down, "link"), (Severity::Bad, Some("ip link set dev server up")));
    assert_eq!(down.interfaces[0].state, LinkCondition::Down);
}

pub(crate) fn drivers_answer_as_ethtool_shows_them() {
    let lab = quiet_lab();
    let shown = |option: &str| {
        let output = lab.server.namespace.run(|| Command::new("ethtool").args([option, "server"]).output());
        output
            .ok()
            .filter(|output| output.status.success())
            .map(|output| String::from_utf8(output.stdout).expect("text"))
    };
    let (Some(features), Some(statistics), Some(channels)) = (shown("-k"), shown("-S"), shown("-l")) else {
        return skip("no ethtool here");
    };
    let ours = lab.server.namespace.run(|| {
        let ethtool = Ethtool::open()?;
        Ok((ethtool.features("server")?, ethtool.statistics("server")?, ethtool.channels("server")?))
    });
    let (ours, counted, queues) = ours.expect("answers");

    // "name: on [fixed]"; some under a name of ethtool's own.
    let theirs: BTreeMap<&str, &str> =
        features.lines().skip(1).filter_map(|line| line.trim().split_once(": ")).collect();
    let mut compared = 0;
    for (name, state) in &ours {
        if let Some(theirs) = theirs.get(name.as_str()) {
            assert_eq!(
                (state.active, state.changeable),
                (theirs.starts_with("on"), !theirs.contains("fixed")),
                "{name}"
            );
            compared += 1;
        }
    }
    assert!(compared > 30, "{compared} of {}", ours.len());
    assert_eq!(ours["rx-gro"].active, theirs["generic-receive-offload"].starts_with("on"));

    let theirs: Vec<(String, u64)> = (statistics.lines().skip(1))
        .filter_map(|line| line.trim().rsplit_once(": "))
        .map(|(name, count)| (name.to_owned(), count.parse().expect("a number")))
        .collect();
    assert_eq!(counted, theirs);

    // The maxima, then what is set; "n/a" where there is none.
    let now = channels.split("Current hardware settings").nth(1).expect("a second part");
    let number = |title: &str| -> u32 {
        let line = now.lines().find_map(|line| line.strip_prefix(title));
        line.and_then(|value| value.trim().parse().ok()).unwrap_or(0)
    };
    assert_eq!(
        (queues.receive.0, queues.transmit.0, queues.combined.0),
        (number("RX:"), number("TX:"), number("Combined:"))
    );
}

pub(crate) fn what_a_namespace_hides_is_told() {
    let lab = quiet_lab();
    let diagnosis = examined(&lab.server);
    // /sys is that of the namespace this program came from.
    assert!(diagnosis.unseen.iter().any(|unseen| unseen.check == "rps"), "{diagnosis:?}");
    assert_eq!(diagnosis.interfaces[0].name, "server");
    assert!(diagnosis.interfaces[0].to_string().starts_with("veth, running"), "{diagnosis:?}");
}
