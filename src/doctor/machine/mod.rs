//! Checks of the host.

mod backlog;
mod bpf;
mod budget;
mod busy_poll;
mod capabilities;
mod clock_source;
mod governor;
mod huge_pages;
mod isolation;
mod locked_memory;
mod socket_buffers;

use super::finding::Findings;
use super::host::Host;

/// In the order in which they are told.
pub(super) const CHECKS: [fn(&dyn Host, &mut Findings); 11] = [
    capabilities::check,
    backlog::check,
    budget::check,
    bpf::check,
    governor::check,
    isolation::check,
    clock_source::check,
    busy_poll::check,
    locked_memory::check,
    huge_pages::check,
    socket_buffers::check,
];

/// A sysctl that is a number. That it cannot be read is told: most of `net.core` shows in the first network namespace
/// only.
fn number(host: &dyn Host, check: &'static str, name: &str, findings: &mut Findings) -> Option<u64> {
    let path = format!("/proc/sys/{}", name.replace('.', "/"));
    match host.read(&path).map(|text| text.parse()) {
        Ok(Ok(value)) => Some(value),
        Ok(Err(_)) => None,
        Err(error) => {
            let reason = match error.kind() {
                std::io::ErrorKind::NotFound => {
                    "not shown in this network namespace, or not known".to_owned()
                }
                _ => error.to_string(),
            };
            findings.unseen(check, format!("{name}: {reason}"));
            None
        }
    }
}
