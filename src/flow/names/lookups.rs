//! Questions and answers brought together.

use super::addresses::text;
use super::lookup::{Answer, Lookup, LookupCounts, Outcome, Reply, Service};
use crate::frame::Timestamp;
use crate::parse::dns::{DnsMessage, MDNS_PORT, Question, Record, RecordType};
use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

/// Most clients whose same multicast question is kept.
const MAX_ASKERS: usize = 64;

/// RFC 6762 5.4: in a question, asks for a unicast response; no part of the class.
const UNICAST_RESPONSE: u16 = 0x8000;

/// Where and when a message was seen.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    /// When.
    pub time: Timestamp,
    /// Address and port of its sender.
    pub source: (IpAddr, u16),
    /// Address and port it was sent to.
    pub destination: (IpAddr, u16),
    /// Over TCP.
    pub tcp: bool,
    /// Which protocol its ports name.
    pub service: Service,
}

/// Matches responses to questions: by addresses, ports, identifier and question (RFC 5452 4), of multicast DNS by
/// question alone. Finished lookups wait to be [taken](Lookups::take).
///
/// A question is kept for the timeout, answered or not, so that it is known again. There are at most as many as asked for;
/// room is made by giving up the oldest. Nothing here looks at a clock: time is that of the messages.
#[derive(Debug)]
pub struct Lookups {
    timeout: Duration,
    capacity: usize,
    pending: HashMap<Key, Pending>,
    /// In the order they were asked; of those asked anew or answered elsewhere, stale entries are passed over.
    order: VecDeque<(Timestamp, u64, Key)>,
    /// Who waits for the answer to a multicast question.
    askers: HashMap<MulticastQuestion, Vec<IpAddr>>,
    serial: u64,
    finished: VecDeque<Lookup>,
    counts: LookupCounts,
}

type MulticastQuestion = (Box<str>, RecordType);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    /// `server` is left out where a group was asked: any of it may answer.
    Exchange {
        service: Service,
        tcp: bool,
        client: (IpAddr, u16),
        server: Option<(IpAddr, u16)>,
        id: u16,
    },
    Multicast {
        client: IpAddr,
        question: MulticastQuestion,
    },
}

/// IXFR (RFC 1995) and AXFR (RFC 5936).
const TRANSFERS: [RecordType; 2] = [RecordType(251), RecordType(252)];

#[derive(Debug)]
struct Pending {
    lookup: Lookup,
    serial: u64,
    answered: bool,
}

impl Lookups {
    /// Questions count as unanswered after `timeout`, and at most `capacity` are kept.
    #[must_use]
    pub fn new(timeout: Duration, capacity: usize) -> Self {
        Self {
            timeout,
            capacity: capacity.max(1),
            pending: HashMap::new(),
            order: VecDeque::new(),
            askers: HashMap::new(),
            serial: 0,
            finished: VecDeque::new(),
            counts: LookupCounts::default(),
        }
    }

    /// Takes a message.
    pub fn observe(&mut self, message: &DnsMessage<'_>, seen: &Seen) {
        self.advance(seen.time);
        if !message.is_response() {
            self.counts.queries += 1;
            self.query(message, seen);
            return;
        }
        self.counts.responses += 1;
        if is_multicast_dns(seen) {
            self.announcement(message, seen);
        } else {
            self.response(message, seen);
        }
    }

    /// A message that could not be read at all.
    pub(super) fn unreadable(&mut self) {
        self.counts.unreadable += 1;
    }

    /// It is `now`: questions older than the timeout are over.
    pub fn advance(&mut self, now: Timestamp) {
        let timeout = i64::try_from(self.timeout.as_nanos()).unwrap_or(i64::MAX);
        while let Some((asked, ..)) = self.order.front()
            && now.nanos_since(*asked) >= timeout
        {
            self.give_up_oldest(Outcome::Unanswered);
        }
    }

    /// The capture is over: what is open stays so.
    pub fn finish(&mut self) {
        while !self.order.is_empty() {
            self.give_up_oldest(Outcome::Open);
        }
    }

    /// The next lookup of which it is known what became.
    pub fn take(&mut self) -> Option<Lookup> {
        self.finished.pop_front()
    }

    /// The account so far.
    #[must_use]
    pub fn counts(&self) -> &LookupCounts {
        &self.counts
    }

    fn query(&mut self, message: &DnsMessage<'_>, seen: &Seen) {
        // One question a message (RFC 9619), but in multicast DNS.
        let most = if seen.service == Service::Mdns { usize::MAX } else { 1 };
        let mut any = false;
        for question in message.questions().map_while(Result::ok).take(most) {
            any = true;
            self.ask(message.id(), &question, seen);
        }
        self.counts.unreadable += u64::from(!any);
    }

    fn ask(&mut self, id: u16, question: &Question<'_>, seen: &Seen) {
        let name = question.name.to_string().into_boxed_str();
        let class = question.class & if seen.service == Service::Mdns { !UNICAST_RESPONSE } else { !0 };
        let key = if is_multicast_dns(seen) {
            let question = (name.to_ascii_lowercase().into_boxed_str(), question.kind);
            Key::Multicast { client: seen.source.0, question }
        } else {
            let server = (!seen.destination.0.is_multicast()).then_some(seen.destination);
            Key::Exchange { service: seen.service, tcp: seen.tcp, client: seen.source, server, id }
        };
        if let Some(known) = self.pending.get_mut(&key).filter(|known| !known.answered) {
            if known.lookup.asks(&name, question.kind) {
                known.lookup.repeats += 1;
                self.counts.repeats += 1;
                return;
            }
            let lookup = known.lookup.clone();
            known.answered = true;
            self.conclude(lookup, Outcome::Unanswered);
        }
        if let Key::Multicast { client, question } = &key {
            let askers = self.askers.entry(question.clone()).or_default();
            if askers.len() >= MAX_ASKERS && !askers.contains(client) {
                // Nobody would find it again.
                self.counts.asked += 1;
                return self.conclude(lookup_of(name, question.1, class, id, seen), Outcome::Evicted);
            }
            if !askers.contains(client) {
                askers.push(*client);
            }
        }
        self.serial += 1;
        self.counts.asked += 1;
        let lookup = lookup_of(name, question.kind, class, id, seen);
        let pending = Pending { lookup, serial: self.serial, answered: false };
        self.pending.insert(key.clone(), pending);
        self.line_up(key, seen.time);
        while self.pending.len() > self.capacity {
            self.give_up_oldest(Outcome::Evicted);
        }
    }

    /// The question that was given the last serial number is to be forgotten a timeout after this.
    fn line_up(&mut self, key: Key, time: Timestamp) {
        self.order.push_back((time, self.serial, key));
        if self.order.len() > 2 * self.capacity {
            let pending = &self.pending;
            self.order
                .retain(|(_, serial, key)| pending.get(key).is_some_and(|known| known.serial == *serial));
        }
    }

    /// Forgets the question asked first, if its place was not taken since.
    fn give_up_oldest(&mut self, outcome: Outcome) {
        let Some((_, serial, key)) = self.order.pop_front() else { return };
        if self.pending.get(&key).is_none_or(|known| known.serial != serial) {
            return;
        }
        if let Key::Multicast { client, question } = &key
            && let Some(askers) = self.askers.get_mut(question)
        {
            askers.retain(|asker| asker != client);
            if askers.is_empty() {
                self.askers.remove(question);
            }
        }
        if let Some(known) = self.pending.remove(&key).filter(|known| !known.answered) {
            self.conclude(known.lookup, outcome);
        }
    }

    fn response(&mut self, message: &DnsMessage<'_>, seen: &Seen) {
        let exchange = |server| Key::Exchange {
            service: seen.service,
            tcp: seen.tcp,
            client: seen.destination,
            server,
            id: message.id(),
        };
        let mut key = exchange(Some(seen.source));
        if !self.pending.contains_key(&key) {
            key = exchange(None);
        }
        let Some(known) = self.pending.get_mut(&key) else {
            self.counts.unsolicited += 1;
            return;
        };
        // An error may come without the question.
        if let Some(question) = message.questions().next().and_then(Result::ok)
            && !known.lookup.asks(&question.name.to_string(), question.kind)
        {
            self.counts.mismatched += 1;
            return;
        }
        // The answer to a zone transfer is of many messages (RFC 5936 2.2), and takes as long as it takes: the next is waited for.
        let goes_on = seen.tcp && TRANSFERS.contains(&known.lookup.kind);
        let again = std::mem::replace(&mut known.answered, true);
        let lookup = (!again).then(|| Lookup { server: seen.source, ..known.lookup.clone() });
        if goes_on {
            self.serial += 1;
            known.serial = self.serial;
            self.line_up(key, seen.time);
        }
        let Some(lookup) = lookup else {
            let counts = &mut self.counts;
            *(if goes_on { &mut counts.answers } else { &mut counts.duplicates }) += 1;
            return;
        };
        let answers = message.answers().map_while(Result::ok).map(|record| answer(&record)).collect();
        self.counts.answers += 1;
        self.answered(lookup, message, seen.time, answers);
    }

    /// A multicast response: for whoever has asked for one of its records.
    fn announcement(&mut self, message: &DnsMessage<'_>, seen: &Seen) {
        let mut asked: HashMap<MulticastQuestion, Vec<Answer>> = HashMap::new();
        for record in message.answers().map_while(Result::ok) {
            let owner = text(&record.name()).into_boxed_str();
            for kind in [record.kind(), RecordType::ANY] {
                let question = (owner.clone(), kind);
                if self.askers.contains_key(&question) {
                    asked.entry(question).or_default().push(answer(&record));
                }
            }
        }
        if asked.is_empty() {
            self.counts.announcements += 1;
            return;
        }
        self.counts.answers += 1;
        // In an order that is the same in every run.
        let mut asked: Vec<_> = asked.into_iter().collect();
        asked.sort_by(|(one, _), (other, _)| (&one.0, one.1.0).cmp(&(&other.0, other.1.0)));
        for (question, answers) in asked {
            for client in self.askers.remove(&question).unwrap_or_default() {
                let key = Key::Multicast { client, question: question.clone() };
                if let Some(known) = self.pending.remove(&key) {
                    let lookup = Lookup { server: seen.source, ..known.lookup };
                    self.answered(lookup, message, seen.time, answers.clone());
                }
            }
        }
    }

    fn answered(&mut self, lookup: Lookup, message: &DnsMessage<'_>, time: Timestamp, answers: Vec<Answer>) {
        let latency = Duration::from_nanos(time.nanos_since(lookup.asked).try_into().unwrap_or(0));
        let (rcode, truncated) = (message.extended_rcode(), message.truncated());
        let cut = message.answers().map_while(Result::ok).count() < usize::from(message.counts().answers);
        self.counts.cut += u64::from(cut);
        self.conclude(lookup, Outcome::Answered(Reply { latency, rcode, truncated, cut, answers }));
    }

    fn conclude(&mut self, lookup: Lookup, outcome: Outcome) {
        match outcome {
            Outcome::Answered(_) => self.counts.answered += 1,
            Outcome::Unanswered => self.counts.unanswered += 1,
            Outcome::Evicted => self.counts.evicted += 1,
            Outcome::Open => {}
        }
        self.finished.push_back(Lookup { outcome, ..lookup });
    }
}

impl Lookup {
    fn asks(&self, name: &str, kind: RecordType) -> bool {
        self.kind == kind && self.name.eq_ignore_ascii_case(name)
    }
}

/// Both ends are multicast DNS's own: what is said is for all, and has no identifier (RFC 6762 6, 18.1). A client with
/// another port wants to be answered as by DNS (6.7).
fn is_multicast_dns(seen: &Seen) -> bool {
    seen.service == Service::Mdns && seen.source.1 == MDNS_PORT && seen.destination.1 == MDNS_PORT
}

fn lookup_of(name: Box<str>, kind: RecordType, class: u16, id: u16, seen: &Seen) -> Lookup {
    Lookup {
        asked: seen.time,
        client: seen.source,
        server: seen.destination,
        service: seen.service,
        tcp: seen.tcp,
        id,
        name,
        kind,
        class,
        repeats: 0,
        outcome: Outcome::Open,
    }
}

fn answer(record: &Record<'_>) -> Answer {
    Answer {
        name: record.name().to_string().into(),
        kind: record.kind(),
        ttl: record.ttl(),
        data: record.data().to_string().into(),
    }
}
