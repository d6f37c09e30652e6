//! Lists of CPUs, as the kernel and taskset write them.

use std::collections::HashSet;
use wharf::engine::Error;
use wharf::sys::affinity;

/// CPU numbers, each but once, in the order they were given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CoreList(pub(crate) Vec<usize>);

/// No kernel has a CPU with this number; a longer range is a slip of the finger.
const BEYOND: usize = 1 << 16;

/// Reads `0-3,5`.
pub(crate) fn list(text: &str) -> Result<CoreList, String> {
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (first.parse::<usize>().ok()?, last.parse::<usize>().ok()?);
        (first <= last && last - first < BEYOND).then_some(first..=last)
    };
    let ranges: Option<Vec<_>> = text.split(',').map(range).collect();
    let ranges = ranges.ok_or("not a list of CPUs such as 2 or 0-3,5")?;
    let cores: Vec<_> = ranges.into_iter().flatten().collect();
    let mut seen = HashSet::new();
    match cores.iter().find(|&&core| !seen.insert(core)) {
        Some(core) => Err(format!("CPU {core} is named twice")),
        None => Ok(CoreList(cores)),
    }
}

/// Pins this thread to a CPU.
pub(crate) fn pin(core: usize) -> anyhow::Result<()> {
    Ok(affinity::pin(core).map_err(|problem| Error::Core { core, problem })?)
}

/// Writes the same.
pub(crate) fn text(cores: &[usize]) -> String {
    let runs = cores.chunk_by(|a, b| a + 1 == *b).map(|run| match run {
        [first, .., last] => format!("{first}-{last}"),
        _ => run.iter().map(ToString::to_string).collect(),
    });
    runs.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists() {
        for (text, cores) in [("7", &[7][..]), ("0-3,5", &[0, 1, 2, 3, 5]), ("4,2-2", &[4, 2])] {
            assert_eq!(list(text), Ok(CoreList(cores.to_vec())), "{text}");
        }
        for (cores, written) in [(&[7][..], "7"), (&[0, 1, 2, 3, 5], "0-3,5"), (&[4, 2], "4,2"), (&[], "")] {
            assert_eq!(text(cores), written);
        }
        for text in ["", ",", "1,", "3-1", "-1", "1-", "a", "0-4294967295", "1-2-3", "0 1", "0,0", "0-3,2"] {
            assert!(list(text).is_err(), "{text:?}");
        }
    }
}
