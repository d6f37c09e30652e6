//! What the ends of a flow have named over time.

use super::streams::Held;
use crate::flow::{FlowKey, FlowNames};
use crate::frame::Timestamp;
use std::sync::Arc;

/// Connections between the same ends of which it is known what they named.
const MOST: usize = 8;

/// Names as they are kept: what DNS has told is shared with all that were given it.
#[derive(Clone, Debug, Default)]
pub(super) struct Named {
    server: Option<Arc<str>>,
    server_from: Option<&'static str>,
    /// The upper end of the key asked for the server.
    reversed: bool,
    application: Option<Arc<str>>,
}

/// What is known of the ends of a flow from a time on.
#[derive(Clone, Debug)]
pub(super) struct Told {
    time: Timestamp,
    /// What was named; `None` where a connection has begun of which nothing is known.
    names: Option<Named>,
}

/// The latest at the end.
#[derive(Debug)]
pub(super) struct History(Vec<Told>);

/// What a name takes beside itself: how often it is shared.
pub(super) const COUNTS: usize = 2 * size_of::<usize>();

impl Named {
    /// By DNS.
    pub(super) fn by_dns(name: &Arc<str>, reversed: bool) -> Self {
        Self { server: Some(Arc::clone(name)), server_from: Some("dns"), reversed, application: None }
    }

    /// By the conversation itself, whose client is the upper end of the key or not.
    pub(super) fn by_itself(names: FlowNames, reversed: bool) -> Self {
        let FlowNames { server, server_from, application, .. } = names;
        Self {
            server: server.map(Into::into),
            server_from,
            reversed,
            application: application.map(Into::into),
        }
    }

    /// As a record has it whose first packet the upper end of the key sent, or not.
    pub(super) fn of_record(&self, reversed: bool) -> FlowNames {
        FlowNames {
            server: self.server.as_deref().map(Into::into),
            server_from: self.server_from,
            // Who asks is the client, whoever was seen first.
            of_source: self.server.is_some() && self.reversed != reversed,
            application: self.application.as_deref().map(Into::into),
        }
    }

    /// Of several requests the first counts; of what goes through a proxy's tunnel, the TLS inside.
    fn gives_way(&self, later: &Self) -> bool {
        match self.server_from {
            Some("dns") | None => true,
            Some(from) => from == "http" && later.server_from == Some("tls"),
        }
    }
}

impl Held for Named {
    fn held(&self) -> usize {
        let names = [&self.server, &self.application].into_iter().flatten();
        size_of::<FlowKey>() + size_of::<Self>() + names.map(|name| COUNTS + name.len()).sum::<usize>()
    }
}

impl Told {
    pub(super) fn new(time: Timestamp, names: Option<Named>) -> Self {
        Self { time, names }
    }

    /// There is something to be kept.
    pub(super) fn is_any(&self) -> bool {
        self.names.is_some()
    }
}

impl History {
    pub(super) fn of(told: Told) -> Self {
        Self(vec![told])
    }

    /// A connection begins.
    pub(super) fn begin(&mut self, told: &Told) {
        // Also where the name is the same: it is that of the one before, to which nothing more is added.
        if told.is_any() || self.0.last().is_some_and(Told::is_any) {
            self.push(told.clone());
        }
    }

    /// A conversation has named something.
    pub(super) fn tell(&mut self, told: &Told) {
        let (Some(Told { names: Some(last), .. }), Some(names)) = (self.0.last_mut(), &told.names) else {
            return self.push(told.clone());
        };
        if !last.gives_way(names) {
            return;
        }
        // What DNS has told stays where the conversation names no host.
        if names.application.is_some() {
            last.application.clone_from(&names.application);
        }
        if names.server.is_some() {
            last.server.clone_from(&names.server);
            (last.server_from, last.reversed) = (names.server_from, names.reversed);
        }
    }

    /// What was known by then.
    pub(super) fn by(&self, time: Timestamp) -> Option<&Named> {
        self.0.iter().rev().find(|told| told.time <= time)?.names.as_ref()
    }

    fn push(&mut self, told: Told) {
        if self.0.len() >= MOST {
            self.0.remove(0);
        }
        // Few have several.
        self.0.reserve_exact(1);
        self.0.push(told);
    }
}

impl Held for History {
    fn held(&self) -> usize {
        let names = self.0.iter().filter_map(|told| told.names.as_ref());
        let strings = names.flat_map(|names| [&names.server, &names.application]).flatten();
        size_of::<FlowKey>()
            + size_of::<Self>()
            + self.0.capacity() * size_of::<Told>()
            + strings.map(|name| COUNTS + name.len()).sum::<usize>()
    }
}
