//! Kafka: flow records as JSON lines, keyed by Community ID, through librdkafka.

use super::FlowExport;
use crate::flow::FlowRecord;
use crate::sink::Error;
use crate::sink::flows::json_line;
use rdkafka::client::ClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext};
use std::io;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How long brokers may take to say who they are.
const PATIENCE: Duration = Duration::from_secs(10);
/// The same where they need not.
const LOOK: Duration = Duration::from_secs(2);
/// Records until what came of earlier ones is asked for.
const ASK_EVERY: u64 = 16;
/// How long to wait for room, or for the last deliveries, before looking at the time.
const TURN: Duration = Duration::from_millis(50);

/// Where records go, and how many may wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KafkaOptions {
    /// Brokers to begin with, as `host:port`, separated by commas.
    pub brokers: String,
    /// The topic.
    pub topic: String,
    /// Bytes of records that may wait for a broker, in memory; at least 1 MiB.
    pub queue: usize,
    /// Where the queue is full, wait for room: for what can be read more slowly. Else the record is lost, and counted.
    pub wait: bool,
    /// A broker must answer at the beginning. Else records wait for one that does, as they do later.
    pub must_answer: bool,
    /// How long the end waits for what is queued, and with `wait` a record for room, while nothing is delivered. When that was in
    /// vain, no further record waits until something is delivered.
    pub patience: Duration,
    /// Properties of librdkafka, beside those set here or in place of them: name, value.
    pub properties: Vec<(String, String)>,
}

impl KafkaOptions {
    /// For a topic of these brokers: 64 MiB, loss counted where they are full, 30 s for the end.
    #[must_use]
    pub fn new(brokers: &str, topic: &str) -> Self {
        Self {
            brokers: brokers.to_owned(),
            topic: topic.to_owned(),
            queue: 64 << 20,
            wait: false,
            must_answer: true,
            patience: Duration::from_secs(30),
            properties: Vec::new(),
        }
    }

    /// Bytes of records that may wait: librdkafka has no smaller queue than 1 MiB.
    #[must_use]
    pub fn queue(&self) -> usize {
        self.queue.max(1 << 20)
    }
}

/// What became of records. `records` is the sum of the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KafkaCounts {
    /// Records that were to be sent.
    pub records: u64,
    /// All in-sync replicas have them.
    pub delivered: u64,
    /// Not taken: the queue was full.
    pub queue_full: u64,
    /// Refused by a broker for good, such as one that is too large.
    pub refused: u64,
    /// Queued; at the end, given up there: a broker may have them, but has not said so.
    pub waiting: u64,
}

/// Sends each flow record to a topic: the JSON of [`FlowFormat::Json`](crate::sink::FlowFormat), with the Community ID as its
/// key, so that both sensors that see a flow send it to the same partition. Partitions are chosen as Kafka's own clients do.
///
/// At least once: a record counts as delivered when all in-sync replicas have it, is sent again until then, and may come twice.
/// Records wait in memory only.
pub struct Kafka {
    producer: BaseProducer<Deliveries>,
    options: KafkaOptions,
    unanswered: Option<String>,
    line: Vec<u8>,
    records: u64,
    queue_full: u64,
    /// How many had been delivered when waiting for more was of no use.
    in_vain: Option<u64>,
}

/// What librdkafka tells.
#[derive(Default)]
struct Deliveries {
    delivered: AtomicU64,
    refused: AtomicU64,
    trouble: Mutex<Option<String>>,
}

impl ClientContext for Deliveries {
    fn error(&self, _: KafkaError, reason: &str) {
        self.tell(reason.to_owned());
    }
}

impl Deliveries {
    fn tell(&self, what: String) {
        if let Ok(mut trouble) = self.trouble.lock() {
            *trouble = Some(what);
        }
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        match result {
            Ok(_) => self.delivered.fetch_add(1, Ordering::Relaxed),
            Err((error, _)) => {
                self.tell(error.to_string());
                self.refused.fetch_add(1, Ordering::Relaxed)
            }
        };
    }
}

impl Kafka {
    /// Finds the topic.
    ///
    /// # Errors
    /// When a property is wrong, brokers do not have the topic and do not make it, or none answers within ten seconds and
    /// [one must](KafkaOptions::must_answer).
    pub fn connect(options: KafkaOptions) -> Result<Self, Error> {
        let name = name_of(&options);
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &options.brokers)
            .set("client.id", "wharf")
            .set("acks", "all")
            // Sent again for as long as the queue has room: what is lost is the queue's to say, not a clock's.
            .set("message.timeout.ms", "0")
            .set("queue.buffering.max.kbytes", (options.queue() >> 10).to_string())
            // The bytes are the bound.
            .set("queue.buffering.max.messages", "0")
            .set("queue.buffering.max.ms", "100")
            .set("compression.type", "lz4")
            .set("partitioner", "murmur2_random");
        for (property, value) in &options.properties {
            config.set(property, value);
        }
        let failed = |error: KafkaError| {
            let any = || options.properties.iter().any(|(name, _)| is_secure(name));
            let secure = match &error {
                KafkaError::ClientConfig(_, _, property, _) => is_secure(property),
                _ => any(),
            };
            let path = name.clone();
            if !secure {
                return Error::Io { path, source: io::Error::other(error) };
            }
            let advice = "librdkafka is built without OpenSSL here: there is no TLS, and of SASL only PLAIN";
            Error::Format { path, reason: format!("{error}: {advice}") }
        };
        let producer: BaseProducer<Deliveries> =
            config.create_with_context(Deliveries::default()).map_err(failed)?;
        let patience = if options.must_answer { PATIENCE } else { LOOK };
        let unanswered = match producer.client().fetch_metadata(Some(&options.topic), patience) {
            Ok(found) => {
                let topic = found.topics().iter().find(|topic| topic.name() == options.topic);
                if topic.is_none_or(|topic| topic.error().is_some()) {
                    let reason = "the brokers do not have this topic: make it, or let them make topics";
                    return Err(Error::Format { path: name, reason: reason.to_owned() });
                }
                None
            }
            Err(error) => {
                producer.poll(Duration::ZERO);
                let trouble = producer.context().trouble.lock().ok().and_then(|trouble| trouble.clone());
                let why = trouble.map_or_else(|| error.to_string(), |trouble| format!("{error}: {trouble}"));
                Some(format!("no broker answers ({why})"))
            }
        };
        if let Some(why) = unanswered.as_ref().filter(|_| options.must_answer) {
            let advice = "is it up, and does it advertise an address that this host reaches?";
            return Err(Error::Format { path: name, reason: format!("{why}: {advice}") });
        }
        Ok(Self { producer, options, unanswered, line: Vec::new(), records: 0, queue_full: 0, in_vain: None })
    }

    /// Why no broker had answered when this began, where [none had to](KafkaOptions::must_answer).
    #[must_use]
    pub fn unanswered(&self) -> Option<&str> {
        self.unanswered.as_deref()
    }

    /// What became of the records so far.
    #[must_use]
    pub fn counts(&self) -> KafkaCounts {
        let context = self.producer.context();
        let (records, queue_full) = (self.records, self.queue_full);
        let delivered = context.delivered.load(Ordering::Relaxed);
        let refused = context.refused.load(Ordering::Relaxed);
        let waiting = records.saturating_sub(delivered + queue_full + refused);
        KafkaCounts { records, delivered, queue_full, refused, waiting }
    }

    /// Waits while deliveries go on, and then for so long; `done` says that it is enough. Not at all where that was in vain and
    /// nothing has been delivered since.
    fn wait(&mut self, mut done: impl FnMut(&mut Self) -> bool) -> bool {
        let (mut delivered, mut since) = (self.counts().delivered, Instant::now());
        loop {
            if done(self) {
                return true;
            }
            if self.in_vain == Some(delivered) || since.elapsed() >= self.options.patience {
                self.in_vain = Some(delivered);
                return false;
            }
            self.producer.poll(TURN);
            let now = self.counts().delivered;
            if now > delivered {
                (delivered, since) = (now, Instant::now());
            }
        }
    }

    /// Whether the queue has taken it.
    fn offer(&self, key: &str) -> Result<bool, KafkaError> {
        let record = BaseRecord::to(&self.options.topic).key(key).payload(&self.line[..]);
        match self.producer.send(record) {
            Ok(()) => Ok(true),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => Ok(false),
            Err((error, _)) => Err(error),
        }
    }
}

impl FlowExport for Kafka {
    fn write(&mut self, record: &FlowRecord) -> Result<(), Error> {
        self.line.clear();
        json_line(&mut self.line, record);
        self.line.pop();
        self.records += 1;
        if self.records.is_multiple_of(ASK_EVERY) {
            self.producer.poll(Duration::ZERO);
        }
        let key = record.community_id.to_string();
        let mut failure = None;
        let mut taken = |kafka: &mut Self| match kafka.offer(&key) {
            Ok(taken) => taken,
            Err(error) => {
                failure = Some(error);
                true
            }
        };
        let took = taken(self) || self.options.wait && self.wait(taken);
        if let Some(error) = failure {
            // This one will never be taken; others may.
            let context = self.producer.context();
            context.tell(error.to_string());
            context.refused.fetch_add(1, Ordering::Relaxed);
        } else if !took {
            self.queue_full += 1;
            self.producer.poll(Duration::ZERO);
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Error> {
        // They go by themselves; this hears what came of them.
        self.producer.poll(Duration::ZERO);
        Ok(())
    }

    fn finish(&mut self) -> Result<(), Error> {
        // It is the last chance of all that is queued, and comes once.
        self.in_vain = None;
        self.wait(|kafka| kafka.producer.in_flight_count() == 0);
        Ok(())
    }

    fn lost(&self) -> u64 {
        let KafkaCounts { queue_full, refused, waiting, .. } = self.counts();
        queue_full + refused + waiting
    }

    fn account(&self) -> String {
        let KafkaCounts { records, delivered, queue_full, refused, waiting } = self.counts();
        let mut text = format!(
            "kafka: {records} records = {delivered} delivered + {queue_full} lost as the queue was full + {refused} refused + \
             {waiting} not known to be delivered"
        );
        let trouble = self.producer.context().trouble.lock().ok().and_then(|trouble| trouble.clone());
        if let Some(trouble) = trouble.filter(|_| delivered < records) {
            text += &format!("; last error: {trouble}");
        }
        text
    }
}

/// Properties that need OpenSSL.
fn is_secure(property: &str) -> bool {
    ["security.", "ssl.", "sasl.", "enable.ssl"].iter().any(|begins| property.starts_with(begins))
}

fn name_of(options: &KafkaOptions) -> String {
    format!("kafka://{}/{}", options.brokers, options.topic)
}
