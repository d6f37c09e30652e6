//! Four frames in a register of AVX2, eight at a time. The files are those of the [table](super).

mod lanes;
mod ports;
mod run;
mod shape;
mod sums;

pub(in crate::batch) use run::read;
