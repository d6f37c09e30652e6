//! Flows: who spoke to whom, how much, and how it fared.
//!
//! A [flow](FlowKey) is both directions of one 5-tuple, with the VLAN and the tunnel it was seen in. What is known of
//! one at its end is a [`FlowRecord`]: plain data, for whoever prints it or sends it on.
//!
//! | part | what it does |
//! | --- | --- |
//! | [`FlowKey`] | names the flow of a packet, the same for both directions |
//! | [`Meter`] | counts packets by flow, for as many as it is given room for |
//! | [`Connection`] | tells how TCP fared from its segments |
//! | [`Table`] | finds a flow among millions within the time of a cache miss |
//! | [`FlowRecord`] | what became of a flow |
//! | [`CommunityId`] | its name as other tools compute it, too |
//! | [`names`] | what clients asked for by name, and how that went |
//! | [`reassembly`] | what each end said, in order |
//! | [`fragments`] | IP packets put together, ahead of the others |
//!
//! Time is that of the packets: a capture file gives the same records whenever it is read.
//!
//! ```
//! use wharf::batch::Findings;
//! use wharf::flow::{Meter, MeterOptions};
//! use wharf::parse::Packet;
//! use wharf::source::synthetic::{Synthetic, Traffic};
//!
//! let source = Synthetic::new(&Traffic { frames: 200, flows: 10, ..Traffic::default() });
//! let (batch, mut findings) = (source.table(), Findings::new());
//! findings.read(batch);
//! let frames: Vec<_> = batch.frames().collect();
//! let packets = frames.iter().enumerate().map(|(at, frame)| Packet::new(*frame, findings.layers(frame, at)));
//!
//! let (mut meter, mut records) = (Meter::new(MeterOptions::default()), Vec::new());
//! meter.observe(packets, |record| records.push(record));
//! meter.finish(|record| records.push(record));
//! assert_eq!(records.iter().map(|record| record.all_packets()).sum::<u64>(), batch.len() as u64);
//! ```

mod checked;
mod community_id;
mod connections;
mod event;
pub mod fragments;
mod key;
mod last;
mod meter;
pub mod names;
mod options;
mod packed;
mod quoted;
pub mod reassembly;
mod record;
mod shards;
mod slab;
mod state;
mod table;
mod tcp;
#[cfg(test)]
mod tests;
mod wheel;
mod window;

pub(crate) use checked::is_wrong;
pub use community_id::CommunityId;
pub(crate) use event::mark_of;
pub use key::{FlowKey, Keyed, Tunnel, TunnelKind};
pub(crate) use last::Last;
pub use meter::Meter;
pub use options::{MeterCounts, MeterOptions};
pub use packed::Seed;
pub use record::{
    EndReason, FlowNames, FlowRecord, Gaps, Handshake, RoundTrips, TcpSide, TcpState, TcpStory, Trouble,
};
pub(crate) use shards::{Shard, Shards, in_order};
pub use table::Table;
pub(crate) use tcp::tcp_of;
pub use tcp::{Connection, Findings, Segment, SynOptions};
pub(crate) use window::Window;
