//! What there is to tell of a connection.

use super::{Connection, FINISHED, SynOptions};
use crate::flow::record::{Handshake, RoundTrips, TcpSide, TcpStory, Trouble};
use std::time::Duration;

impl Connection {
    /// What there is to tell, the sides in this order.
    #[must_use]
    pub fn story(&self, order: [usize; 2]) -> TcpStory {
        let [syn, answer, confirmation] = [0, 1, 2].map(|step| self.steps.at(step));
        let between = |from: Option<i64>, to: Option<i64>| {
            Some(Duration::from_nanos(u64::try_from(to?.saturating_sub(from?)).unwrap_or(0)))
        };
        let handshake = Handshake {
            answered_after: between(syn, answer),
            confirmed_after: between(answer, confirmation),
            simultaneous: self.simultaneous,
        };
        let seen = !self.told && (syn.is_some() || answer.is_some());
        TcpStory {
            state: self.state,
            handshake: seen.then_some(handshake),
            sides: order.map(|at| self.side(at & 1)),
        }
    }

    fn side(&self, at: usize) -> TcpSide {
        let side = &self.sides[at];
        let SynOptions { mss, window_scale, sack, timestamps } = side.options.unpack();
        let [least, most, sum] = side.round_trips;
        let count = side.round_trip_count;
        TcpSide {
            mss,
            window_scale,
            sack,
            timestamps,
            round_trips: RoundTrips {
                count,
                least: Duration::from_nanos(least),
                most: Duration::from_nanos(most),
                mean: Duration::from_nanos(sum.checked_div(count.into()).unwrap_or(0)),
            },
            trouble: self.trouble.as_ref().map_or_else(Trouble::default, |noted| noted[at].trouble),
            most_in_flight: side.most_in_flight,
            finished: side.knows(FINISHED),
        }
    }
}
