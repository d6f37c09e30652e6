//! What a proxy tells on standard error while it runs: lines for people, or of JSON.

use super::options::{LogFormat, LogLevel};
use crate::exit::tell;
use serde::Serialize;
use std::io::{self, Write};
use wharf::proxy::Level;

/// How it is told, and from which level on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Voice {
    pub(super) least: LogLevel,
    pub(super) format: LogFormat,
}

#[derive(Serialize)]
struct Line<'a> {
    /// UTC, RFC 3339.
    time: String,
    level: &'static str,
    message: &'a str,
}

impl Voice {
    /// Tells what a start or an end comes to, whatever the level.
    pub(super) fn tell(self, what: &str) {
        match self.format {
            LogFormat::Text => tell(what),
            LogFormat::Json => json(Level::Info, what),
        }
    }

    /// Tells something, unless it matters too little.
    pub(super) fn say(self, level: Level, what: &str) {
        match self.format {
            _ if LogLevel::of(level) < self.least => {}
            LogFormat::Text => tell(&format!("{}: {what}", level.name())),
            LogFormat::Json => json(level, what),
        }
    }
}

/// A line in one call, so that those of two processes do not mix. There is nobody to tell when that fails.
fn json(level: Level, message: &str) {
    let line = Line { time: jiff::Timestamp::now().to_string(), level: level.name(), message };
    let line = serde_json::to_string(&line).unwrap_or_default() + "\n";
    let _ = io::stderr().write_all(line.as_bytes());
}
