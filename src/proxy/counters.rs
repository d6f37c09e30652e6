//! What a proxy did, in numbers that add up.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign};
use std::sync::atomic::{AtomicU64, Ordering};

/// A number that one thread writes and any may read.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    /// For the thread that writes it: no locked instruction.
    pub(super) fn add(&self, number: u64) {
        // Relaxed: a reader wants a recent value, and no other memory with it.
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(number), Ordering::Relaxed);
    }

    pub(super) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Counters that have names.
pub(super) trait Named {
    /// One of these in words; nothing where it is another's.
    fn name(&self, counter: &Counter) -> &'static str;
}

/// Declares counters, what they are read into, and their sum.
macro_rules! counters {
    ($(#[$about:meta])* $counters:ident => $totals:ident { $($(#[$doc:meta])* $name:ident: $text:literal,)* }) => {
        /// One worker's.
        #[derive(Debug, Default)]
        pub(super) struct $counters {
            $(pub(super) $name: Counter,)*
        }

        $(#[$about])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
        // A process that is upgraded may count less than the one that takes its place.
        #[serde(default)]
        pub struct $totals {
            $($(#[$doc])* pub $name: u64,)*
        }

        impl $counters {
            pub(super) fn read(&self) -> $totals {
                $totals { $($name: self.$name.get(),)* }
            }
        }

        impl Named for $counters {
            fn name(&self, counter: &Counter) -> &'static str {
                $(if std::ptr::eq(counter, &self.$name) {
                    return $text;
                })*
                ""
            }
        }

        impl Add for $totals {
            type Output = Self;

            fn add(self, other: Self) -> Self {
                Self { $($name: self.$name + other.$name,)* }
            }
        }

        impl $totals {
            /// Each number with its name in words.
            #[must_use]
            pub fn named(&self) -> Vec<(&'static str, u64)> {
                vec![$(($text, self.$name),)*]
            }
        }
    };
}

counters! {
    /// Connections by how they ended: each of them in one way.
    EndedCounters => Ended {
        /// Both ends had said all and were told so.
        complete: "complete",
        /// The client reset it.
        client_reset: "reset by client",
        /// The server reset it.
        server_reset: "reset by server",
        /// Nothing came for too long.
        idle: "idle too long",
        /// No server took it: each that was tried refused, or cannot be reached.
        refused: "refused by every server tried",
        /// No server took it in time.
        connect_timeout: "not answered by any server in time",
        /// Its client had as many connections as it may, or came too often.
        limited: "over its client's limit",
        /// It began with no PROXY header, or one not to go by, where there has to be one.
        bad_header: "without a PROXY header to go by",
        /// No route was for it.
        no_route: "without a route",
        /// There was no server to try.
        no_server: "without a server",
        /// This host has no more ports towards the server.
        no_port: "without a local port",
        /// The process has no more descriptors.
        no_descriptor: "without a descriptor",
        /// It was still open when the proxy had waited long enough for it.
        drained: "cut at the end",
        /// It is one that a former process had open when this one took its place, and that ends there.
        left_behind: "left with a former process",
        /// Another error of the kernel.
        failed: "failed",
    }
}

counters! {
    /// What became of TCP connections. `accepted` is the sum of [`Ended`] and of those open.
    TcpCounters => Tcp {
        /// Connections taken from the kernel.
        accepted: "accepted",
        /// Bytes from clients to servers, as sent on.
        bytes_up: "bytes up",
        /// Bytes from servers to clients, as sent on.
        bytes_down: "bytes down",
        /// Bytes in both that went by splice(2), without a copy.
        bytes_spliced: "bytes spliced",
        /// Connections to servers that were begun.
        attempts: "attempts",
        /// Of those, the ones that failed and for which another server was tried.
        retries: "retries",
        /// Times that accepting stopped for want of descriptors or because of a limit.
        pauses: "pauses",
        /// Connections that the kernel took back before they were accepted.
        accept_errors: "accept errors",
    }
}

counters! {
    /// What became of UDP. `opened` is the sum of the ends and of the sessions open; `received` is `sent` and all that was
    /// dropped.
    UdpCounters => Udp {
        /// Sessions begun.
        opened: "sessions opened",
        /// Sessions that were silent for too long.
        idle: "idle",
        /// Sessions that made room for others.
        evicted: "evicted",
        /// Sessions whose server was said to be unreachable.
        refused: "refused",
        /// Sessions open at the end.
        drained: "open at the end",
        /// Sessions that another process goes on with.
        handed_over: "handed over",
        /// Datagrams from clients and servers.
        received: "received",
        /// Datagrams sent on.
        sent: "sent",
        /// Bytes of them from clients.
        bytes_up: "bytes up",
        /// Bytes of them from servers.
        bytes_down: "bytes down",
        /// Datagrams dropped since there was no server, or no session could be made.
        no_session: "no session",
        /// Datagrams dropped since their client has as many sessions as it may, or comes too often.
        limited: "over the client's limit",
        /// Datagrams dropped since a socket's buffer was full.
        full: "buffer full",
        /// Datagrams dropped since they were too long for the way or for a buffer.
        too_long: "too long",
        /// Datagrams dropped after another error.
        failed: "failed",
        /// Times that ICMP said a server cannot be reached.
        unreachable: "unreachable",
    }
}

/// What one worker counts.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) tcp: TcpCounters,
    pub(super) ended: EndedCounters,
    pub(super) udp: UdpCounters,
}

impl Counters {
    pub(super) fn read(&self) -> Totals {
        Totals { tcp: self.tcp.read(), ended: self.ended.read(), udp: self.udp.read() }
    }
}

/// What a proxy, or a worker of it, has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Totals {
    /// Connections and their bytes.
    pub tcp: Tcp,
    /// How connections ended.
    pub ended: Ended,
    /// Sessions and datagrams.
    pub udp: Udp,
}

impl Totals {
    /// Connections that have ended.
    #[must_use]
    pub fn closed(&self) -> u64 {
        self.ended.named().iter().map(|(_, number)| number).sum()
    }

    /// Connections that have not.
    #[must_use]
    pub fn open(&self) -> u64 {
        self.tcp.accepted.saturating_sub(self.closed())
    }

    /// As another process that takes this one's place counts on from here: what is open stays with this one.
    pub(super) fn settled(mut self) -> Self {
        self.ended.left_behind += self.open();
        self.udp.handed_over += self.sessions();
        self
    }

    /// UDP sessions that have not ended.
    #[must_use]
    pub fn sessions(&self) -> u64 {
        let Udp { opened, idle, evicted, refused, drained, handed_over, .. } = self.udp;
        opened.saturating_sub(idle + evicted + refused + drained + handed_over)
    }
}

impl Add for Totals {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { tcp: self.tcp + other.tcp, ended: self.ended + other.ended, udp: self.udp + other.udp }
    }
}

impl AddAssign for Totals {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sum for Totals {
    fn sum<I: Iterator<Item = Self>>(iter: I) -> Self {
        iter.fold(Self::default(), Add::add)
    }
}

/// In a few lines, without what is 0.
impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let some = |named: Vec<(&'static str, u64)>| named.into_iter().filter(|(_, number)| *number > 0);
        let Self { tcp, udp, .. } = self;
        if tcp.accepted + tcp.accept_errors > 0 || udp.received == 0 {
            write!(f, "tcp: {} accepted =", tcp.accepted)?;
            for (name, number) in some(self.ended.named()) {
                write!(f, " {number} {name} +")?;
            }
            writeln!(f, " {} open", self.open())?;
            write!(f, "tcp: {} bytes up, {} bytes down", tcp.bytes_up, tcp.bytes_down)?;
            for (name, number) in
                some(tcp.named()).filter(|(name, _)| !["accepted", "bytes up", "bytes down"].contains(name))
            {
                write!(f, ", {number} {name}")?;
            }
            writeln!(f)?;
        }
        if udp.received > 0 {
            write!(f, "udp: {} sessions =", udp.opened)?;
            for (name, number) in some(udp.named()).filter(|(name, _)| {
                ["idle", "evicted", "refused", "open at the end", "handed over"].contains(name)
            }) {
                write!(f, " {number} {name} +")?;
            }
            writeln!(f, " {} open", self.sessions())?;
            write!(f, "udp: {} datagrams received = {} sent", udp.received, udp.sent)?;
            for (name, number) in some(udp.named()).filter(|(name, _)| {
                ["no session", "over the client's limit", "buffer full", "too long", "failed"].contains(name)
            }) {
                write!(f, " + {number} dropped ({name})")?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_of_workers_add_up() {
        let (one, other) = (Counters::default(), Counters::default());
        one.tcp.accepted.add(3);
        other.tcp.accepted.add(2);
        one.ended.complete.add(1);
        other.ended.idle.add(2);
        one.udp.received.add(5);
        one.udp.sent.add(4);
        one.udp.full.add(1);
        let total: Totals = [one.read(), other.read()].into_iter().sum();
        assert_eq!((total.tcp.accepted, total.closed(), total.open()), (5, 3, 2));
        let text = total.to_string();
        assert!(text.starts_with("tcp: 5 accepted = 1 complete + 2 idle too long + 2 open\n"), "{text}");
        let settled = total.settled();
        assert_eq!((settled.tcp.accepted, settled.open(), settled.ended.left_behind), (5, 0, 2));
        // Another version of the program may not count all of them.
        let known: Totals = serde_json::from_str(r#"{"tcp":{"accepted":1},"new":2}"#).unwrap();
        assert_eq!(known.tcp, Tcp { accepted: 1, ..Tcp::default() });
        assert!(text.contains("udp: 5 datagrams received = 4 sent + 1 dropped (buffer full)\n"), "{text}");
    }
}
