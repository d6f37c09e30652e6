//! What on this host will cost a capture packets, or mislead who reads it.
//!
//! One check a file. A check looks at a [`Host`], which is this one ([`ThisHost`]) or one made up by a test, and says
//! what it [found](Finding): how bad that is, what it means, and the command that changes it. What could not be seen is
//! told too.
//!
//! ```
//! use wharf::doctor::{Asked, ThisHost, examine};
//!
//! let diagnosis = examine(&ThisHost::new()?, &Asked { interface: Some("lo".into()), ..Asked::default() })?;
//! for finding in &diagnosis.findings {
//!     println!("{:?} {}", finding.severity, finding.found);
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod finding;
mod host;
mod interface;
mod machine;
#[cfg(test)]
mod made_up;
mod this_host;

pub use finding::{Diagnosis, Examined, Finding, LinkCondition, Severity, Unseen};
pub use host::{Answer, Device, Host};
pub use this_host::ThisHost;

pub use crate::sys::generic_netlink::{Napi, XdpFeatures};
pub use crate::sys::link_state::{Bound, LinkLosses, LinkState, Xdp};

use crate::sys::interfaces::InterfaceInfo;
use crate::sys::problem::{self, Problem};
use finding::Findings;

/// What to look at.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// This interface and the host; without one, the host and whatever interfaces are up.
    pub interface: Option<String>,
    /// Bytes that a capture will keep of each frame; 0 for all.
    pub snap_length: u32,
}

/// Why nothing could be looked at.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The interfaces cannot be listed.
    #[error("cannot list interfaces: {0}")]
    Interfaces(#[source] std::io::Error),
    /// There is no such interface.
    #[error("{interface}: {reason}")]
    Interface {
        /// Its name.
        interface: String,
        /// What there is instead.
        reason: String,
        /// The system's word.
        source: Option<std::io::Error>,
    },
}

/// One interface, as the checks see it.
struct Case<'a> {
    host: &'a dyn Host,
    interface: &'a InterfaceInfo,
    device: &'a Device,
    asked: &'a Asked,
    /// Where `/sys` has it; `None` where that shows another network namespace.
    sys: Option<String>,
}

impl Case<'_> {
    fn name(&self) -> &str {
        &self.interface.name
    }
}

/// Looks at the host, and at the interface or all that are up.
///
/// # Errors
/// When there is no such interface, or none can be listed.
pub fn examine(host: &dyn Host, asked: &Asked) -> Result<Diagnosis, Error> {
    let all = host.interfaces().map_err(Error::Interfaces)?;
    let wanted: Vec<&InterfaceInfo> = match &asked.interface {
        Some(name) => {
            let found = problem::find(name, &all).and_then(|found| match found.is_any() {
                true => Err("stands for all interfaces: name one, or none for all of them".into()),
                false => Ok(found),
            });
            vec![found.map_err(|Problem { reason, cause }| Error::Interface {
                interface: name.clone(),
                reason,
                source: cause,
            })?]
        }
        None => all.iter().filter(|interface| interface.is_up() && !interface.is_any()).collect(),
    };
    let mut findings = Findings::default();
    machine::CHECKS.iter().for_each(|check| check(host, &mut findings));
    for interface in wanted {
        let device = host.device(interface);
        let case = Case { host, interface, device: &device, asked, sys: sys_path(host, interface) };
        findings.turn_to(interface, &device);
        interface::CHECKS.iter().for_each(|check| check(&case, &mut findings));
    }
    Ok(findings.into_diagnosis())
}

/// `/sys` shows the network namespace it was mounted in. It is the right one where it has an interface of the same name,
/// index and address.
fn sys_path(host: &dyn Host, interface: &InterfaceInfo) -> Option<String> {
    let path = format!("/sys/class/net/{}", interface.name);
    let index = host.read(&format!("{path}/ifindex")).ok()?;
    let address = host.read(&format!("{path}/address")).unwrap_or_default();
    let known = interface.mac.map(|mac| mac.map(|byte| format!("{byte:02x}")).join(":"));
    let same = index == interface.index.to_string() && known.is_none_or(|known| known == address);
    same.then_some(path)
}

#[cfg(test)]
mod tests {
    use super::made_up::{MadeUp, named};
    use super::*;

    #[test]
    fn sysfs_of_another_namespace_is_not_believed() {
        let mut interface = named("eth0");
        interface.mac = Some([2, 0, 0, 0, 0, 1]);
        let file = |leaf, value| (format!("/sys/class/net/eth0/{leaf}"), value);
        let host = |index, address| MadeUp::with([file("ifindex", index), file("address", address)]);
        assert!(sys_path(&host("2", "02:00:00:00:00:01"), &interface).is_some());
        assert!(sys_path(&host("3", "02:00:00:00:00:01"), &interface).is_none());
        assert!(sys_path(&host("2", "02:00:00:00:00:02"), &interface).is_none());
        assert!(sys_path(&MadeUp::default(), &interface).is_none());
    }

    #[test]
    fn one_is_looked_at_or_all_that_are_up() {
        let mut host = MadeUp::default();
        let mut down = named("eth1");
        down.flags = 0;
        let any = InterfaceInfo { index: 0, ..named("any") };
        host.interfaces = vec![named("eth0"), down, named("eth2"), any];
        let names = |asked: Option<&str>| {
            let asked = Asked { interface: asked.map(str::to_owned), ..Asked::default() };
            examine(&host, &asked)
                .map(|found| found.interfaces.into_iter().map(|one| one.name).collect::<Vec<_>>())
        };
        assert_eq!(names(None).unwrap(), ["eth0", "eth2"]);
        assert_eq!(names(Some("eth1")).unwrap(), ["eth1"]);
        assert!(names(Some("eth9")).unwrap_err().to_string().starts_with("eth9: no such interface"));
        assert!(names(Some("any")).is_err());
    }
}
