//! Flow records on their way to where fleets keep them.

mod ipfix;

pub use ipfix::{Ipfix, IpfixCounts, IpfixEncoder};
