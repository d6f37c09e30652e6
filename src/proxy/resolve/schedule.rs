//! When which name is looked up again.

use super::client::Found;
use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Until a name that could not be looked up is tried again: the first time, and at most.
const RETRY: Duration = Duration::from_secs(2);
const RETRY_AT_MOST: Duration = Duration::from_secs(60);

/// Names, what they mean, and until when.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    names: BTreeMap<String, Entry>,
}

#[derive(Debug)]
struct Entry {
    addresses: Vec<IpAddr>,
    due: Instant,
    failures: u32,
}

impl Schedule {
    /// These names from now on, with what is known of those that were there before; new ones are due at once.
    pub(super) fn set(&mut self, names: impl IntoIterator<Item = String>, now: Instant) {
        let mut before = std::mem::take(&mut self.names);
        let entry = |name: &String| before.remove(name);
        let mut entry = entry;
        self.names = names
            .into_iter()
            .map(|name| {
                let known = entry(&name).unwrap_or(Entry { addresses: Vec::new(), due: now, failures: 0 });
                (name, known)
            })
            .collect();
    }

    /// A name to look up now, or how long there is none.
    pub(super) fn next(&self, now: Instant) -> Result<&str, Option<Duration>> {
        match self.names.iter().min_by_key(|(_, entry)| entry.due) {
            Some((name, entry)) if entry.due <= now => Ok(name),
            first => Err(first.map(|(_, entry)| entry.due - now)),
        }
    }

    /// Takes what a look-up came to; true when the name means other addresses now. Those that it had stay when it could not
    /// be looked up: servers do not go when name servers do.
    pub(super) fn note(&mut self, name: &str, result: &io::Result<Found>, now: Instant) -> bool {
        let Some(entry) = self.names.get_mut(name) else { return false };
        match result {
            Ok(found) => {
                entry.failures = 0;
                entry.due = now + found.good_for;
                let differs = entry.addresses != found.addresses;
                entry.addresses.clone_from(&found.addresses);
                differs
            }
            Err(_) => {
                entry.due = now + RETRY.saturating_mul(1 << entry.failures.min(8)).min(RETRY_AT_MOST);
                entry.failures += 1;
                false
            }
        }
    }

    /// What each name means by now.
    pub(super) fn addresses(&self) -> impl Iterator<Item = (&str, &[IpAddr])> {
        self.names.iter().map(|(name, entry)| (name.as_str(), entry.addresses.as_slice()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(last: u8, seconds: u64) -> io::Result<Found> {
        Ok(Found { addresses: vec![[192, 0, 2, last].into()], good_for: Duration::from_secs(seconds) })
    }

    #[test]
    fn names_are_due_when_their_time_is_over() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut schedule = Schedule::default();
        assert_eq!(schedule.next(start), Err(None));
        schedule.set(["a".to_owned(), "b".to_owned()], start);
        assert_eq!(schedule.next(start), Ok("a"));
        assert!(schedule.note("a", &found(1, 60), start));
        assert_eq!(schedule.next(start), Ok("b"));
        assert!(schedule.note("b", &found(2, 30), start));
        assert_eq!(schedule.next(at(10)), Err(Some(Duration::from_secs(20))));
        assert_eq!(schedule.next(at(30)), Ok("b"));
        assert!(!schedule.note("b", &found(2, 60), at(30)), "the same as before");
        assert!(schedule.note("a", &found(3, 60), at(60)), "another address");
        assert!(!schedule.note("gone", &found(3, 60), at(60)));
    }

    #[test]
    fn failures_keep_the_addresses_and_wait_longer_each_time() {
        let start = Instant::now();
        let mut schedule = Schedule::default();
        schedule.set(["a".to_owned()], start);
        assert!(schedule.note("a", &found(1, 60), start));
        let mut waits = Vec::new();
        for _ in 0..7 {
            assert!(!schedule.note("a", &Err(io::ErrorKind::TimedOut.into()), start));
            waits.push(schedule.next(start).unwrap_err().unwrap().as_secs());
        }
        assert_eq!(waits, [2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(schedule.addresses().next(), Some(("a", &[[192, 0, 2, 1].into()][..])));
        // A reload that still has the name keeps what is known of it.
        schedule.set(["a".to_owned(), "b".to_owned()], start);
        assert_eq!(schedule.addresses().map(|(_, addresses)| addresses.len()).collect::<Vec<_>>(), [1, 0]);
    }
}
