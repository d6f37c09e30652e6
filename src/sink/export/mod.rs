//! Flow records on their way to where fleets keep them.

mod ipfix;
#[cfg(feature = "kafka")]
mod kafka;
#[cfg(feature = "parquet")]
mod parquet;

pub use ipfix::{Ipfix, IpfixCounts, IpfixEncoder};
#[cfg(feature = "kafka")]
pub use kafka::{Kafka, KafkaCounts, KafkaOptions};
#[cfg(feature = "parquet")]
pub use parquet::Parquet;

use super::Error;
use crate::flow::FlowRecord;

/// Takes flow records to where they are kept.
pub trait FlowExport: Send {
    /// Takes a record; it may be sent later.
    ///
    /// # Errors
    /// When records cannot be sent or written any more.
    fn write(&mut self, record: &FlowRecord) -> Result<(), Error>;

    /// The source is idle: sends what waits to be sent, if that can be sent by itself.
    ///
    /// # Errors
    /// As [`FlowExport::write`].
    fn flush(&mut self) -> Result<(), Error> {
        Ok(())
    }

    /// There are no more records: what was written is complete after this.
    ///
    /// # Errors
    /// As [`FlowExport::write`].
    fn finish(&mut self) -> Result<(), Error>;

    /// Records so far that were not delivered, or of which that is not known.
    fn lost(&self) -> u64 {
        0
    }

    /// What became of all records so far, in words that begin with the way they took.
    fn account(&self) -> String;
}
