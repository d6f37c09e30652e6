//! Where flow records go beside standard output: IPFIX, Parquet, Kafka.

use crate::args;
#[cfg(feature = "kafka")]
use crate::exit;
use crate::files;
use crate::input::InputArgs;
use anyhow::bail;
use clap::Args;
use std::path::{Path, PathBuf};
use wharf::sink::{FlowExport, Ipfix};

type Export = Box<dyn FlowExport>;

#[derive(Args, Debug)]
pub(crate) struct ExportArgs {
    /// Send the records as IPFIX (RFC 7011) too: to a file, or to a collector as udp://HOST:PORT or tcp://HOST:PORT
    #[arg(long, value_name = "FILE|URL", help_heading = "Output")]
    ipfix: Option<String>,

    /// Write the records to a Parquet file too (in builds with the feature `parquet`)
    ///
    /// The columns are those of --csv, with types. It is complete, and can be read, when the run has ended.
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    parquet: Option<PathBuf>,

    /// Send the records to a topic of Kafka too, at least once (in builds with the feature `kafka`)
    ///
    /// Each is the object of --json, keyed by its Community ID. Records wait in memory while no broker takes them; of
    /// a live capture those for which there is no room are lost, and counted, while a file is read no faster than
    /// they are taken. The end waits for what is queued, up to 30 s in which nothing is delivered; a file gives up as
    /// long a wait for room, and then loses and counts what finds none, until something is delivered. A live capture
    /// begins whether a broker answers or not; a file does not. --strict minds what was not delivered. There is no
    /// TLS, and of SASL only PLAIN.
    #[arg(long, value_name = "HOST:PORT,…/TOPIC", help_heading = "Output")]
    kafka: Option<String>,

    /// How much of the records may wait for Kafka: million bytes (or 64k, 16m, 1g), at least 1m
    #[arg(long, value_name = "SIZE", value_parser = args::file_size, default_value = "64m")]
    #[arg(requires = "kafka", help_heading = "Output")]
    kafka_queue: u64,

    /// A property of librdkafka, such as linger.ms=5; may be given more than once
    #[arg(long, value_name = "NAME=VALUE", requires = "kafka", help_heading = "Output")]
    kafka_set: Vec<String>,
}

impl ExportArgs {
    /// Opens what is asked for.
    pub(crate) fn open(&self, input: &InputArgs) -> anyhow::Result<Vec<Export>> {
        let mut exports = Vec::new();
        if let Some(target) = &self.ipfix {
            exports.push(ipfix(target, input)?);
        }
        if let Some(path) = &self.parquet {
            files::refuse_input(path, input)?;
            exports.push(parquet(path)?);
        }
        if let Some(target) = &self.kafka {
            exports.push(self.kafka(target, input)?);
        }
        Ok(exports)
    }

    #[cfg(feature = "kafka")]
    fn kafka(&self, target: &str, input: &InputArgs) -> anyhow::Result<Export> {
        use wharf::sink::{Kafka, KafkaOptions};
        let target = target.strip_prefix("kafka://").unwrap_or(target);
        let Some((brokers, topic)) = target.split_once('/').filter(|(brokers, topic)| {
            brokers.split(',').all(|broker| broker.contains(':')) && !topic.is_empty()
        }) else {
            bail!(args::usage(&format!("{target}: brokers and a topic are HOST:PORT,HOST:PORT/TOPIC")));
        };
        let mut options = KafkaOptions::new(brokers, topic);
        options.queue = usize::try_from(self.kafka_queue).unwrap_or(usize::MAX);
        (options.wait, options.must_answer) = (!input.is_live(), !input.is_live());
        for property in &self.kafka_set {
            let Some((name, value)) = property.split_once('=') else {
                bail!(args::usage(&format!("{property}: a property is NAME=VALUE")));
            };
            options.properties.push((name.to_owned(), value.to_owned()));
        }
        let queue = options.queue() >> 20;
        let kafka = Kafka::connect(options)?;
        if let Some(why) = kafka.unanswered() {
            exit::tell(&format!(
                "kafka: {why}: records wait for one in memory, {queue} MiB of them; beyond that they are lost, and counted"
            ));
        }
        Ok(Box::new(kafka))
    }

    #[cfg(not(feature = "kafka"))]
    fn kafka(&self, _: &str, _: &InputArgs) -> anyhow::Result<Export> {
        // These are no use either.
        let _ = (self.kafka_queue, &self.kafka_set);
        without("kafka")
    }
}

fn ipfix(target: &str, input: &InputArgs) -> anyhow::Result<Export> {
    if let Some(collector) = target.strip_prefix("udp://") {
        return Ok(Box::new(Ipfix::udp(collector)?));
    }
    if let Some(collector) = target.strip_prefix("tcp://") {
        return Ok(Box::new(Ipfix::tcp(collector)?));
    }
    if target.contains("://") {
        bail!(args::usage(&format!("{target}: a collector is udp://HOST:PORT or tcp://HOST:PORT")));
    }
    files::refuse_input(target.as_ref(), input)?;
    Ok(Box::new(Ipfix::create(target)?))
}

#[cfg(feature = "parquet")]
fn parquet(path: &Path) -> anyhow::Result<Export> {
    Ok(Box::new(wharf::sink::Parquet::create(path)?))
}

#[cfg(not(feature = "parquet"))]
fn parquet(_: &Path) -> anyhow::Result<Export> {
    without("parquet")
}

/// What this program was built without.
#[cfg(not(all(feature = "parquet", feature = "kafka")))]
fn without(feature: &str) -> anyhow::Result<Export> {
    let build = format!("cargo build --release --features {feature}");
    bail!(args::usage(&format!("this wharf was built without --{feature}: `{build}` makes one that has it")))
}
