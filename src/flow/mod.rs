//! Flows: who spoke to whom, how much, and how it fared.
//!
//! A [flow](FlowKey) is both directions of one 5-tuple, with the VLAN and the tunnel it was seen in. What is known of
//! one at its end is a [`FlowRecord`]: plain data, for whoever prints it or sends it on.
//!
//! | part | what it does |
//! | --- | --- |
//! | [`FlowKey`] | names the flow of a packet, the same for both directions |
//! | [`FlowRecord`] | what became of a flow |
//! | [`CommunityId`] | its name as other tools compute it, too |
//! | [`names`] | what clients asked for by name, and how that went |

mod community_id;
mod key;
pub mod names;
mod record;

pub use community_id::CommunityId;
pub use key::{FlowKey, Keyed, Tunnel, TunnelKind};
pub use record::{
    EndReason, FlowNames, FlowRecord, Gaps, Handshake, RoundTrips, TcpSide, TcpState, TcpStory, Trouble,
};
