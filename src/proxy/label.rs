//! Where a connection or session went, by names, and how much went there.

use super::config::Transport;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The names of a listener's route, and what ended there: all that is kept of a plan while a connection lasts. A new plan with
/// the same names goes on with it.
#[derive(Debug)]
pub(super) struct Label {
    /// The listener's name.
    pub(super) listener: Arc<str>,
    /// The route's, and the upstream's, once one was chosen.
    pub(super) route: Option<(Arc<str>, Arc<str>)>,
    tcp: Counts,
    udp: Counts,
}

/// Shared by all workers: they write to it at the end of a connection only.
#[derive(Debug, Default)]
struct Counts {
    ended: AtomicU64,
    up: AtomicU64,
    down: AtomicU64,
}

/// What went by a route so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Went {
    /// Connections, or sessions, that have ended.
    pub(super) ended: u64,
    /// Their bytes, from the client to the server and back.
    pub(super) bytes: [u64; 2],
}

/// Of the plan that is made, and of the one before.
#[derive(Debug, Default)]
pub(super) struct Labels(HashMap<Names, Arc<Label>>);

type Names = (Arc<str>, Option<(Arc<str>, Arc<str>)>);

impl Labels {
    pub(super) fn known<'a>(labels: impl Iterator<Item = &'a Arc<Label>>) -> Self {
        Self(
            labels
                .map(|label| ((Arc::clone(&label.listener), label.route.clone()), Arc::clone(label)))
                .collect(),
        )
    }

    /// The one of these names: several routes may be called the same.
    pub(super) fn get(&mut self, listener: &Arc<str>, route: Option<(Arc<str>, Arc<str>)>) -> Arc<Label> {
        let names = (Arc::clone(listener), route);
        let new = |(listener, route): &Names| Arc::new(Label::new(Arc::clone(listener), route.clone()));
        Arc::clone(self.0.entry(names).or_insert_with_key(new))
    }
}

impl Label {
    pub(super) fn new(listener: Arc<str>, route: Option<(Arc<str>, Arc<str>)>) -> Self {
        Self { listener, route, tcp: Counts::default(), udp: Counts::default() }
    }

    /// The names in order: of the listener, the route and the upstream; nothing where there is none.
    pub(super) fn names(&self) -> [&str; 3] {
        match &self.route {
            Some((route, upstream)) => [&self.listener, route, upstream],
            None => [&self.listener, "", ""],
        }
    }

    fn counts(&self, transport: Transport) -> &Counts {
        match transport {
            Transport::Tcp => &self.tcp,
            Transport::Udp => &self.udp,
        }
    }

    /// Counts one that is over.
    pub(super) fn count(&self, transport: Transport, bytes: [u64; 2]) {
        let Counts { ended, up, down } = self.counts(transport);
        // Each stands alone.
        ended.fetch_add(1, Relaxed);
        for (counter, bytes) in [up, down].into_iter().zip(bytes).filter(|(_, bytes)| *bytes > 0) {
            counter.fetch_add(bytes, Relaxed);
        }
    }

    /// What was counted so far.
    pub(super) fn went(&self, transport: Transport) -> Went {
        let Counts { ended, up, down } = self.counts(transport);
        Went { ended: ended.load(Relaxed), bytes: [up.load(Relaxed), down.load(Relaxed)] }
    }
}
