//! Eight frames in a register of AVX-512. The files are those of the [table](super).

mod lanes;
mod ports;
mod run;
mod shape;
mod sums;

pub(in crate::batch) use run::read;
