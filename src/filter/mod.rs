//! Filters: which frames are wanted, in the language of pcap-filter(7), run over frames here or in the kernel.

pub mod bpf;
mod graph;
pub mod ir;
