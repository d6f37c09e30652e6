//! Which name a client had asked for when it was given an address.

use super::streams::{Held, Streams};
use super::told::COUNTS;
use crate::frame::Timestamp;
use crate::parse::dns::{DnsMessage, Name, Record, RecordData, RecordType};
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// Most aliases of an answer that are followed; resolvers stop sooner.
const MAX_ALIASES: usize = 64;

/// The names of addresses, for each client its own: an address that serves many names is to each client the one it asked
/// for last. What multicast answers say holds for every client.
///
/// An answer holds for its TTL and [`AddressNames::GRACE`]: programs go on using an address for a while. There are at most
/// as many entries as asked for, and bytes for so many of usual length; room is made by forgetting the older half of what was
/// learned.
#[derive(Debug)]
pub struct AddressNames {
    /// Of each the names it has had, the latest at the end.
    entries: Streams<Ends, Vec<Known>>,
}

/// A client, and an address that it was given.
type Ends = (Option<IpAddr>, IpAddr);

/// Bytes of memory for each address, on average.
const EACH: usize = 256;

/// Names of an address that are remembered, so that what is asked about a flow at its end is what held at its beginning.
const MAX_KNOWN: usize = 8;

#[derive(Debug)]
struct Known {
    name: Arc<str>,
    learned: Timestamp,
    until: Timestamp,
}

/// Each name in full, although those of one answer share theirs.
impl Held for Vec<Known> {
    fn held(&self) -> usize {
        let names = self.iter().map(|known| COUNTS + known.name.len()).sum::<usize>();
        size_of::<Ends>() + size_of::<Self>() + self.capacity() * size_of::<Known>() + names
    }
}

impl AddressNames {
    /// Seconds for which an answer is believed beyond its TTL.
    pub const GRACE: u32 = 300;

    /// Of at most so many addresses, and 256 bytes for each on average: one with a name of usual length takes some 150. Of
    /// longer names, or several of an address, there are fewer.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self { entries: Streams::new(capacity, capacity.saturating_mul(EACH)) }
    }

    /// Learns from a response to `client`; `None` where everybody was to hear it.
    ///
    /// The name kept is that of the question, not the alias at the end of a chain of CNAMEs (RFC 1034 3.6.2); of a response
    /// without a question, such as mDNS's, it is the record's own. In lower case.
    pub fn learn(&mut self, client: Option<IpAddr>, response: &DnsMessage<'_>, time: Timestamp) {
        let question = response.questions().next().and_then(Result::ok).map(|question| text(&question.name));
        let records: Vec<Record<'_>> = response.answers().map_while(Result::ok).collect();
        let chain = question.map(|question| Chain::new(question, &records));
        for record in &records {
            let address: IpAddr = match record.kind() {
                RecordType::A | RecordType::AAAA => match record.data() {
                    RecordData::A(address) => address.into(),
                    RecordData::Aaaa(address) => address.into(),
                    _ => continue,
                },
                _ => continue,
            };
            let owner = text(&record.name());
            let name = match &chain {
                Some(chain) if chain.leads_to(&owner) => Arc::clone(&chain.question),
                _ => owner.into(),
            };
            let holds = Duration::from_secs(u64::from(record.ttl()) + u64::from(Self::GRACE));
            self.add((client, address), Known { name, learned: time, until: time.plus(holds) });
        }
    }

    fn add(&mut self, key: (Option<IpAddr>, IpAddr), known: Known) {
        // Put in anew, so that it is among the young ones.
        let mut history = self.entries.take(&key).unwrap_or_default();
        match history.last_mut() {
            // Asked again while it held.
            Some(last) if last.name == known.name && last.until >= known.learned => {
                last.until = last.until.max(known.until);
            }
            _ => {
                if history.len() >= MAX_KNOWN {
                    history.remove(0);
                }
                // Few have several.
                history.reserve_exact(1);
                history.push(known);
            }
        }
        self.entries.add(key, history);
    }

    /// The name that `client` had asked for and been given `server` for, by `time`: the last one before it, if that still held.
    #[must_use]
    pub fn name_for(&self, client: IpAddr, server: IpAddr, time: Timestamp) -> Option<&str> {
        self.shared_name_for(client, server, time).map(|name| &**name)
    }

    /// The same, to be kept with others.
    pub(super) fn shared_name_for(
        &self,
        client: IpAddr,
        server: IpAddr,
        time: Timestamp,
    ) -> Option<&Arc<str>> {
        let by = |client| {
            let history = self.entries.get(&(client, server))?;
            history.iter().rev().find(|known| known.learned <= time).filter(|known| time <= known.until)
        };
        by(Some(client)).or_else(|| by(None)).map(|known| &known.name)
    }

    /// How many addresses have a name.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// None has.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many were forgotten to make room, whether they still held or not.
    #[must_use]
    pub fn evicted(&self) -> u64 {
        self.entries.given_up()
    }
}

/// The names that a question leads to.
struct Chain {
    question: Arc<str>,
    aliases: Vec<String>,
}

impl Chain {
    fn new(question: String, records: &[Record<'_>]) -> Self {
        let aliases = records.iter().filter(|record| record.kind() == RecordType::CNAME).take(MAX_ALIASES);
        let targets: HashMap<String, String> = aliases
            .filter_map(|record| match record.data() {
                RecordData::Name(target) => Some((text(&record.name()), text(&target))),
                _ => None,
            })
            .collect();
        let mut chain = Self { aliases: Vec::new(), question: question.into() };
        // No alias is followed twice, so a loop ends.
        while let Some(target) = targets.get(chain.aliases.last().map_or(&*chain.question, |last| last))
            && !chain.leads_to(target)
        {
            chain.aliases.push(target.clone());
        }
        chain
    }

    fn leads_to(&self, name: &str) -> bool {
        *self.question == *name || self.aliases.iter().any(|alias| alias == name)
    }
}

/// A name in lower case: case tells nothing (RFC 4343), and some clients write it at random.
pub(super) fn text(name: &Name<'_>) -> String {
    let mut text = name.to_string();
    text.make_ascii_lowercase();
    text
}
