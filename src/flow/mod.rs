//! Flows: what the two ends of a conversation said to each other.
//!
//! Nothing here does I/O, and time is an argument: a capture file replays what a wire gave, exactly.

pub mod fragments;
pub mod reassembly;
mod recency;
