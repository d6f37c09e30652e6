//! From single checks to whether a server is up.

/// Checks in a row that agree, against what is thought so far.
#[derive(Clone, Copy, Debug)]
pub(super) struct Verdict {
    up: bool,
    /// Checks in a row that said otherwise.
    against: u32,
}

impl Verdict {
    /// What is thought before the first check: a server that is there is taken at its word until it fails, so that a
    /// proxy that starts does not refuse everybody for the time of the first checks.
    pub(super) fn new(up: bool) -> Self {
        Self { up, against: 0 }
    }

    /// Takes a check's result; what is thought from now on, when that is something else than before.
    pub(super) fn note(&mut self, good: bool, rise: u32, fall: u32) -> Option<bool> {
        if good == self.up {
            self.against = 0;
            return None;
        }
        self.against += 1;
        let needed = if good { rise } else { fall };
        if self.against < needed {
            return None;
        }
        *self = Self::new(good);
        Some(good)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_takes_some_in_a_row() {
        let mut verdict = Verdict::new(true);
        let mut note = |good| verdict.note(good, 2, 3);
        let results = [false, false, true, false, false, false, false, true, false, true, true, true];
        let changes: Vec<_> = results.into_iter().map(&mut note).collect();
        let mut expected = vec![None; 12];
        expected[5] = Some(false);
        expected[10] = Some(true);
        assert_eq!(changes, expected);
        assert_eq!(Verdict::new(true).note(false, 1, 1), Some(false));
    }
}
