//! What each CPU did with frames on their way from a driver to whoever wants them (`/proc/net/softnet_stat`).
//!
//! These are the CPUs' counters: every network namespace and every interface of the host adds to the same ones.

use std::io;
use std::ops::Sub;

/// One CPU's counters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Softnet {
    /// The CPU's number.
    pub(crate) cpu: u32,
    /// Frames handled.
    pub(crate) processed: u64,
    /// Frames dropped: its backlog (`net.core.netdev_max_backlog`) was full.
    pub(crate) dropped: u64,
    /// Times it gave up for now with work left (`net.core.netdev_budget`): delay, not loss.
    pub(crate) squeezed: u64,
}

/// All CPUs' counters together, since the start of the host or between two readings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SoftnetTotals {
    /// As [`Softnet::dropped`].
    pub(crate) dropped: u64,
    /// As [`Softnet::squeezed`].
    pub(crate) squeezed: u64,
}

impl Sub for SoftnetTotals {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        Self {
            dropped: self.dropped.saturating_sub(earlier.dropped),
            squeezed: self.squeezed.saturating_sub(earlier.squeezed),
        }
    }
}

impl SoftnetTotals {
    /// The sum over CPUs.
    #[must_use]
    pub(crate) fn of(cpus: &[Softnet]) -> Self {
        cpus.iter().fold(Self::default(), |sum, cpu| Self {
            dropped: sum.dropped + cpu.dropped,
            squeezed: sum.squeezed + cpu.squeezed,
        })
    }

    /// This host's, now.
    ///
    /// # Errors
    /// When `/proc` is not mounted.
    pub(crate) fn now() -> io::Result<Self> {
        std::fs::read_to_string("/proc/net/softnet_stat").map(|text| Self::of(&parse(&text)))
    }
}

/// Reads the table: a line for each CPU, hexadecimal columns, the CPU's number in the thirteenth (Linux 5.10). The
/// kernel counts in 32 bits, and begins again at 0.
#[must_use]
pub(crate) fn parse(text: &str) -> Vec<Softnet> {
    let lines = text.lines().enumerate();
    lines
        .filter_map(|(line, text)| {
            let columns: Vec<u64> =
                text.split_whitespace().map_while(|word| u64::from_str_radix(word, 16).ok()).collect();
            let [processed, dropped, squeezed, ..] = columns[..] else { return None };
            let cpu = columns.get(12).copied().unwrap_or(line as u64) as u32;
            Some(Softnet { cpu, processed, dropped, squeezed })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_for_each_cpu_that_is_there() {
        let text = "\
00cd91ed 0000000a 00000001 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000
00e05cb2 00000005 00000002 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000003 00000000 00000000
";
        let cpus = parse(text);
        assert_eq!(cpus[0], Softnet { cpu: 0, processed: 0xcd_91ed, dropped: 10, squeezed: 1 });
        assert_eq!(cpus[1].cpu, 3, "CPUs 1 and 2 are off");
        assert_eq!(SoftnetTotals::of(&cpus), SoftnetTotals { dropped: 15, squeezed: 3 });
        assert_eq!(parse("0a 0b 0c\n")[0].cpu, 0, "as older kernels have it");
        assert!(parse("what\n0a\n").is_empty());
    }

    #[test]
    fn this_host_has_one() {
        let earlier = SoftnetTotals::now().unwrap();
        assert!((SoftnetTotals::now().unwrap() - earlier).dropped < u64::from(u32::MAX));
    }
}
