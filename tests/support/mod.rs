//! What the test programs share.

pub(crate) mod chunks;
pub(crate) mod frames;
pub(crate) mod harness;
pub(crate) mod network;
