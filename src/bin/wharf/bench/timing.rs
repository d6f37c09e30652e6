//! How long something takes, and how sure that is.

use std::time::{Duration, Instant};

/// Rounds of which the median is taken.
pub(super) const ROUNDS: usize = 9;

/// The same for whole runs of the engine: few and long, since each has to begin and to end.
pub(super) const RUNS: usize = 3;

/// A spread in percent beyond which a figure says little.
pub(super) const UNSTEADY: f64 = 20.0;

/// A measured figure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Figure {
    pub(super) median: f64,
    /// Half the distance between the quartiles: half of all rounds were within about that of the median.
    pub(super) spread: f64,
}

impl Figure {
    /// Of the rounds of one measurement; there is at least one.
    pub(super) fn of(mut rounds: Vec<f64>) -> Self {
        rounds.sort_by(f64::total_cmp);
        let at = |share: f64| {
            let place = share * (rounds.len() - 1) as f64;
            let (low, high) = (rounds[place.floor() as usize], rounds[place.ceil() as usize]);
            low + (high - low) * place.fract()
        };
        Self { median: at(0.5), spread: (at(0.75) - at(0.25)) / 2.0 }
    }

    /// Whether it is spread so wide that it says little.
    pub(super) fn is_unsteady(self) -> bool {
        self.percent() > UNSTEADY
    }

    /// The spread in percent of the median.
    pub(super) fn percent(self) -> f64 {
        100.0 * self.spread / self.median
    }
}

/// What was done in how long.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    pub(super) turns: u64,
    pub(super) elapsed: Duration,
}

impl Pace {
    /// Nanoseconds for each of `packets` a turn.
    pub(super) fn nanos(self, packets: u64) -> f64 {
        self.elapsed.as_nanos() as f64 / (self.turns * packets) as f64
    }
}

/// Takes turns for as long as `slice`, and at least one.
pub(super) fn pace(slice: Duration, mut turn: impl FnMut()) -> Pace {
    let (begun, mut turns) = (Instant::now(), 0);
    loop {
        turn();
        turns += 1;
        let elapsed = begun.elapsed();
        if elapsed >= slice {
            return Pace { turns, elapsed };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures() {
        assert_eq!(Figure::of(vec![5.0, 1.0, 2.0, 4.0, 3.0]), Figure { median: 3.0, spread: 1.0 });
        assert_eq!(Figure::of(vec![1.0, 2.0]), Figure { median: 1.5, spread: 0.25 });
        assert_eq!(Figure::of(vec![7.0]), Figure { median: 7.0, spread: 0.0 });
    }

    #[test]
    fn a_turn_is_taken_however_short_the_time() {
        let mut taken = 0;
        let pace = pace(Duration::ZERO, || taken += 1);
        assert_eq!((taken, pace.turns), (1, 1));
        let pace = Pace { turns: 4, elapsed: Duration::from_nanos(800) };
        assert!((pace.nanos(100) - 2.0).abs() < 1e-9);
    }
}
