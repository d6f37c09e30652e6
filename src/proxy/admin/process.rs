//! What the process itself takes, by the names that every exporter for Prometheus has for it.

use rustix::param::{clock_ticks_per_second, page_size};
use rustix::process::{Resource, getrlimit};
use std::fmt::{Display, Write};
use std::fs;

/// All of it, or what can be found out.
pub(super) fn text() -> String {
    let mut out = String::new();
    let mut one = |name, kind, help, value: Option<&dyn Display>| {
        if let Some(value) = value {
            // Writing to a string cannot fail.
            let _ = write!(
                out,
                "# HELP process_{name} {help}\n# TYPE process_{name} {kind}\nprocess_{name} {value}\n"
            );
        }
    };
    let ticks = clock_ticks_per_second() as f64;
    let usage = fs::read_to_string("/proc/self/stat").ok().and_then(|text| Usage::read(&text));
    let boot = fs::read_to_string("/proc/stat").ok().and_then(|text| boot_time(&text));
    let open = fs::read_dir("/proc/self/fd").ok().map(Iterator::count);
    let most = getrlimit(Resource::Nofile).current;
    if let Some(Usage { cpu, started, threads, pages }) = usage {
        one("cpu_seconds_total", "counter", "Time on CPUs.", Some(&(cpu as f64 / ticks)));
        let started = boot.map(|boot| boot as f64 + started as f64 / ticks);
        let help = "When it was started, in seconds since 1970.";
        one("start_time_seconds", "gauge", help, started.as_ref().map(|started| started as &dyn Display));
        let bytes = pages * page_size() as u64;
        one("resident_memory_bytes", "gauge", "Memory that it has in use.", Some(&bytes));
        one("threads", "gauge", "Its threads.", Some(&threads));
    }
    one("open_fds", "gauge", "Open descriptors.", open.as_ref().map(|open| open as &dyn Display));
    one("max_fds", "gauge", "Most that it may have.", most.as_ref().map(|most| most as &dyn Display));
    out
}

/// What the kernel tells of a process (`/proc/PID/stat`, proc_pid_stat(5)).
#[derive(Debug, PartialEq, Eq)]
struct Usage {
    /// Clock ticks in user and kernel mode.
    cpu: u64,
    /// Clock ticks from the host's start to the process's.
    started: u64,
    threads: u64,
    /// Of memory.
    pages: u64,
}

impl Usage {
    fn read(text: &str) -> Option<Self> {
        // The program's name stands in parentheses, and may have some itself. Behind it comes the third field.
        let fields: Vec<_> = text.rsplit_once(')')?.1.split_whitespace().collect();
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        Some(Self {
            cpu: field(14)? + field(15)?,
            threads: field(20)?,
            started: field(22)?,
            pages: field(24)?,
        })
    }
}

/// When the host was started, in seconds since 1970 (`/proc/stat`).
fn boot_time(text: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_word_is_read_whatever_the_program_is_called() {
        let text = "77 (a) b (c) S 1 1 1 0 -1 4194304 9 0 0 0 30 12 0 0 20 0 5 0 8800 1000000 250 18446744073709551615\n";
        assert_eq!(Usage::read(text), Some(Usage { cpu: 42, started: 8_800, threads: 5, pages: 250 }));
        assert_eq!(Usage::read("77 (a) S 1"), None);
        assert_eq!(boot_time("cpu 1 2\nbtime 1700000000\n"), Some(1_700_000_000));
    }

    #[test]
    fn this_process_is_told_of() {
        let text = text();
        let value = |name: &str| -> f64 {
            let found = text.lines().find_map(|line| line.strip_prefix(&format!("process_{name} ")));
            found.unwrap_or_else(|| panic!("{name}\n{text}")).parse().unwrap()
        };
        assert!(value("open_fds") >= 3.0 && value("max_fds") >= value("open_fds"));
        assert!(value("resident_memory_bytes") > 100_000.0 && value("threads") >= 1.0);
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
        assert!((now - 86_400.0..now + 2.0).contains(&value("start_time_seconds")), "{text}");
        assert!(value("cpu_seconds_total") >= 0.0);
    }
}
