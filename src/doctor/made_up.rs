//! Hosts for tests: files and answers as a test wants them.

use super::finding::{Finding, Findings, Severity};
use super::host::{Device, Host};
use super::{Asked, Case};
use crate::sys::ethtool::Feature;
use crate::sys::interfaces::InterfaceInfo;
use std::collections::BTreeMap;
use std::io;

/// A host of made-up files. A file is readable, or it is not there.
#[derive(Default)]
pub(super) struct MadeUp {
    pub(super) files: BTreeMap<String, String>,
    pub(super) interfaces: Vec<InterfaceInfo>,
    pub(super) lockable: Option<u64>,
}

impl MadeUp {
    pub(super) fn with<P: Into<String>, T: Into<String>>(files: impl IntoIterator<Item = (P, T)>) -> Self {
        let files = files.into_iter().map(|(path, text)| (path.into(), text.into())).collect();
        Self { files, ..Self::default() }
    }
}

impl Host for MadeUp {
    fn read(&self, path: &str) -> io::Result<String> {
        self.files.get(path).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn list(&self, path: &str) -> io::Result<Vec<String>> {
        let within = self.files.keys().filter_map(|file| file.strip_prefix(path)?.strip_prefix('/'));
        let mut names: Vec<_> =
            within.map(|rest| rest.split('/').next().unwrap_or_default().to_owned()).collect();
        names.dedup();
        if names.is_empty() { Err(io::ErrorKind::NotFound.into()) } else { Ok(names) }
    }

    fn interfaces(&self) -> io::Result<Vec<InterfaceInfo>> {
        Ok(self.interfaces.clone())
    }

    fn device(&self, _: &InterfaceInfo) -> Device {
        Device::default()
    }

    fn lockable(&self) -> Option<u64> {
        self.lockable
    }

    fn program(&self) -> String {
        "/usr/bin/wharf".to_owned()
    }
}

/// An Ethernet interface with index 2 that is up and running.
pub(super) fn named(name: &str) -> InterfaceInfo {
    InterfaceInfo {
        index: 2,
        name: name.to_owned(),
        hardware: libc::ARPHRD_ETHER,
        flags: (libc::IFF_UP | libc::IFF_RUNNING) as u32,
        mtu: 1500,
        ..InterfaceInfo::default()
    }
}

/// A device with these features in effect, all of them changeable.
pub(super) fn featuring(features: &[&str]) -> Device {
    let on = Feature { active: true, changeable: true };
    let all = features.iter().map(|name| ((*name).to_owned(), on)).collect();
    Device { features: super::Answer::Known(all), ..Device::default() }
}

/// What a check of the host finds: severity, what, command.
pub(super) fn of_host(check: fn(&dyn Host, &mut Findings), host: &MadeUp) -> Found {
    let mut findings = Findings::default();
    check(host, &mut findings);
    Found::of(findings)
}

/// What a check of an interface finds, on a host whose `/sys` shows it.
pub(super) fn of_device(
    check: fn(&Case<'_>, &mut Findings),
    host: &MadeUp,
    interface: &InterfaceInfo,
    device: &Device,
    asked: &Asked,
) -> Found {
    let sys = Some(format!("/sys/class/net/{}", interface.name));
    let case = Case { host, interface, device, asked, sys };
    let mut findings = Findings::default();
    check(&case, &mut findings);
    Found::of(findings)
}

/// The same of `eth0` on a host without files.
pub(super) fn of(check: fn(&Case<'_>, &mut Findings), device: &Device) -> Found {
    of_device(check, &MadeUp::default(), &named("eth0"), device, &Asked::default())
}

/// What was found, in a form to compare.
pub(super) struct Found {
    pub(super) findings: Vec<Finding>,
    pub(super) unseen: usize,
}

impl Found {
    fn of(findings: Findings) -> Self {
        let diagnosis = findings.into_diagnosis();
        for finding in &diagnosis.findings {
            let is_good = finding.severity == Severity::Good;
            assert_eq!(finding.meaning.is_empty(), is_good, "says what it means: {finding:?}");
            assert!(!(is_good && finding.command.is_some()), "nothing to change: {finding:?}");
        }
        Self { findings: diagnosis.findings, unseen: diagnosis.unseen.len() }
    }

    /// The severities, in order.
    pub(super) fn severities(&self) -> Vec<Severity> {
        self.findings.iter().map(|finding| finding.severity).collect()
    }

    /// The commands, in order.
    pub(super) fn commands(&self) -> Vec<&str> {
        self.findings.iter().filter_map(|finding| finding.command.as_deref()).collect()
    }

    /// The only finding.
    pub(super) fn only(&self) -> &Finding {
        assert_eq!(self.findings.len(), 1, "{:?}", self.findings);
        &self.findings[0]
    }
}
