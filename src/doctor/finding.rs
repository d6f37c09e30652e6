//! What a check says.

use super::host::Device;
use crate::sys::interfaces::InterfaceInfo;
use serde::Serialize;
use std::fmt;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// As it should be.
    Good,
    /// To be known; it costs nothing by itself.
    Note,
    /// It may cost packets, or mislead.
    Warn,
    /// It does: nothing can be captured, or what is captured is not what was on the wire.
    Bad,
}

/// Something that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at: a short key that stays the same.
    pub check: &'static str,
    /// Of this interface; `None` of the host.
    pub interface: Option<String>,
    /// How bad it is.
    pub severity: Severity,
    /// What is there.
    pub found: String,
    /// What that means; empty where it is as it should be.
    pub meaning: String,
    /// What changes it, where anything does: a line for a shell.
    pub command: Option<String>,
}

/// Something that could not be looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Unseen {
    /// What should have been looked at.
    pub check: &'static str,
    /// Of this interface; `None` of the host.
    pub interface: Option<String>,
    /// Why it could not.
    pub reason: String,
}

/// An interface that was looked at. Displayed as `veth, running, MTU 1500`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Examined {
    /// Its name.
    pub name: String,
    /// Its driver, or what kind of virtual interface it is; `None` where it has neither.
    pub driver: Option<String>,
    /// Whether it can carry packets.
    pub state: LinkCondition,
    /// Bytes of the longest packet, without the link's own header.
    pub mtu: u32,
}

/// Whether an interface can carry packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LinkCondition {
    /// Switched off.
    Down,
    /// Switched on, and nothing at the other end.
    NoCarrier,
    /// It can.
    Running,
}

impl fmt::Display for Examined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            LinkCondition::Down => "down",
            LinkCondition::NoCarrier => "no carrier",
            LinkCondition::Running => "running",
        };
        write!(f, "{}, {state}, MTU {}", self.driver.as_deref().unwrap_or("no driver"), self.mtu)
    }
}

/// All that was found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Diagnosis {
    /// The interfaces looked at.
    pub interfaces: Vec<Examined>,
    /// In the order of the checks, the host's first.
    pub findings: Vec<Finding>,
    /// What could not be seen.
    pub unseen: Vec<Unseen>,
}

impl Diagnosis {
    /// How many findings are as bad as that.
    #[must_use]
    pub fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|finding| finding.severity == severity).count()
    }
}

/// What the checks write to.
#[derive(Debug, Default)]
pub(super) struct Findings {
    diagnosis: Diagnosis,
    interface: Option<String>,
}

impl Findings {
    /// What comes from now on is about that interface.
    pub(super) fn turn_to(&mut self, interface: &InterfaceInfo, device: &Device) {
        self.interface = Some(interface.name.clone());
        let driver = device.driver.known().map(|driver| driver.name.clone()).filter(|name| !name.is_empty());
        let state = match (interface.is_up(), interface.is_running()) {
            (false, _) => LinkCondition::Down,
            (true, false) => LinkCondition::NoCarrier,
            (true, true) => LinkCondition::Running,
        };
        self.diagnosis.interfaces.push(Examined {
            name: interface.name.clone(),
            driver: driver.or_else(|| interface.kind.clone()),
            state,
            mtu: interface.mtu,
        });
    }

    pub(super) fn good(&mut self, check: &'static str, found: impl Into<String>) {
        self.add(check, Severity::Good, found.into(), "", None);
    }

    pub(super) fn note(
        &mut self,
        check: &'static str,
        found: impl Into<String>,
        meaning: &str,
        command: Option<String>,
    ) {
        self.add(check, Severity::Note, found.into(), meaning, command);
    }

    pub(super) fn warn(
        &mut self,
        check: &'static str,
        found: impl Into<String>,
        meaning: &str,
        command: Option<String>,
    ) {
        self.add(check, Severity::Warn, found.into(), meaning, command);
    }

    pub(super) fn bad(
        &mut self,
        check: &'static str,
        found: impl Into<String>,
        meaning: &str,
        command: Option<String>,
    ) {
        self.add(check, Severity::Bad, found.into(), meaning, command);
    }

    pub(super) fn unseen(&mut self, check: &'static str, reason: impl Into<String>) {
        let interface = self.interface.clone();
        self.diagnosis.unseen.push(Unseen { check, interface, reason: reason.into() });
    }

    fn add(
        &mut self,
        check: &'static str,
        severity: Severity,
        found: String,
        meaning: &str,
        command: Option<String>,
    ) {
        let (interface, meaning) = (self.interface.clone(), meaning.to_owned());
        self.diagnosis.findings.push(Finding { check, interface, severity, found, meaning, command });
    }

    pub(super) fn into_diagnosis(self) -> Diagnosis {
        self.diagnosis
    }
}
