//! What the measurement runs on, as far as it explains the figures.

use anyhow::Context;
use rustix::thread::{CpuSet, sched_getaffinity};
use std::collections::BTreeSet;
use std::fs;
use wharf::checksum::{ENVIRONMENT, Variant};

/// Where the kernel does not tell, as often in containers.
const L2_UNKNOWN: usize = 1 << 20;
const LAST_UNKNOWN: usize = 64 << 20;

pub(super) struct Machine {
    /// The CPU's name, where the kernel has one.
    pub(super) cpu: Option<String>,
    /// The second cache of a core, in bytes.
    pub(super) l2: usize,
    /// All caches of the last level together, in bytes; and the largest one, which some cores share.
    pub(super) last_level: usize,
    pub(super) last_level_one: usize,
    /// Memory that could be had, in bytes.
    pub(super) available: usize,
}

impl Machine {
    pub(super) fn here() -> Self {
        let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let available =
            field(&memory, "MemAvailable").and_then(|text| text.trim_end_matches(" kB").parse().ok());
        let caches = caches();
        let l2 = caches.iter().filter(|cache| cache.level == 2).map(|cache| cache.bytes).min();
        let last = caches.iter().map(|cache| cache.level).max().unwrap_or_default();
        let last_level: Vec<_> =
            caches.iter().filter(|cache| cache.level == last).map(|cache| cache.bytes).collect();
        Self {
            cpu: field(&info, "model name").map(str::to_owned),
            l2: l2.unwrap_or(L2_UNKNOWN),
            last_level: if caches.is_empty() { LAST_UNKNOWN } else { last_level.iter().sum() },
            last_level_one: last_level.into_iter().max().unwrap_or(LAST_UNKNOWN),
            available: available.map_or(1 << 30, |kib: usize| kib << 10),
        }
    }
}

/// The value behind a name and a colon.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let line = text.lines().find(|line| line.starts_with(name))?;
    line.split_once(':').map(|(_, value)| value.trim())
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Cache {
    level: u32,
    /// The CPUs that share it, which tells it from others of its level.
    shared: String,
    bytes: usize,
}

/// Every cache that holds data, once.
fn caches() -> BTreeSet<Cache> {
    let read = |path: String| fs::read_to_string(path).map(|text| text.trim().to_owned()).ok();
    let cpus = (0..CpuSet::MAX_CPU).map(|cpu| format!("/sys/devices/system/cpu/cpu{cpu}/cache"));
    let cpus = cpus.take_while(|folder| fs::exists(folder).unwrap_or(false));
    let indices = cpus.flat_map(|folder| (0..8).map(move |index| format!("{folder}/index{index}")));
    let caches = indices.filter_map(|folder| {
        let holds_data = read(format!("{folder}/type"))? != "Instruction";
        let bytes = size(&read(format!("{folder}/size"))?)?;
        let level = read(format!("{folder}/level"))?.parse().ok()?;
        let shared = read(format!("{folder}/shared_cpu_list"))?;
        holds_data.then_some(Cache { level, shared, bytes })
    });
    caches.collect()
}

/// Reads `2048K`.
fn size(text: &str) -> Option<usize> {
    let digits = text.trim_end_matches(['K', 'M']);
    let unit = if text.ends_with('K') { 1 << 10 } else { 1 << 20 };
    digits.parse::<usize>().ok()?.checked_mul(unit).filter(|&bytes| bytes > 0)
}

/// The CPUs that this process may use.
pub(super) fn allowed() -> anyhow::Result<Vec<usize>> {
    let set = sched_getaffinity(None).context("which CPUs may be used")?;
    Ok((0..CpuSet::MAX_CPU).filter(|&core| set.is_set(core)).collect())
}

/// Why the checksum variant in use is in use.
pub(super) fn why_this_variant() -> String {
    let names = |available| {
        let variants = Variant::ALL.iter().filter(|variant| variant.available() == available);
        variants.map(|variant| variant.name()).collect::<Vec<_>>().join(", ")
    };
    let mut why = match std::env::var_os(ENVIRONMENT) {
        Some(name) if !name.is_empty() => format!("{ENVIRONMENT} says so; this CPU has {}", names(true)),
        _ => format!("the fastest of those this CPU has: {}", names(true)),
    };
    let lacking = names(false);
    if !lacking.is_empty() {
        why += &format!("; it lacks the instructions for {lacking}");
    }
    why
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_of_caches() {
        assert_eq!((size("2048K"), size("32M")), (Some(2 << 20), Some(32 << 20)));
        assert_eq!((size(""), size("K"), size("0K")), (None, None, None));
    }

    #[test]
    fn fields() {
        let text = "processor\t: 0\nmodel name\t: A: B\nMemAvailable:    12 kB\n";
        assert_eq!(field(text, "model name"), Some("A: B"));
        assert_eq!(field(text, "MemAvailable"), Some("12 kB"));
        assert_eq!(field(text, "flags"), None);
    }
}
