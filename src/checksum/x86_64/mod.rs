//! Kernels for x86-64. Each is behind a token that exists only where the CPU has the instructions.

mod avx2;
mod avx512;
mod crc;

pub(super) use avx2::Avx2;
pub(super) use avx512::Avx512;
pub(super) use crc::Crc;
