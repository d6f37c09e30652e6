//! The engine over sources and sinks in memory: every packet is accounted for, however the run ends.

mod account;
mod ending;
mod memory;
mod threads;
