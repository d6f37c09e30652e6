//! The variants of the summing loop by name, and which of them this process uses.

#[cfg(all(target_arch = "aarch64", target_endian = "little"))]
use super::aarch64::Neon;
use super::kernel::{Kernel, Scalar, Task, Wide, sealed::Sealed};
#[cfg(target_arch = "x86_64")]
use super::x86_64::{Avx2, Avx512};
use super::{Sum, wide};
use std::fmt;
use std::str::FromStr;
use std::sync::OnceLock;

/// Environment variable that names the variant to use: `WHARF_CHECKSUM`.
pub const ENVIRONMENT: &str = "WHARF_CHECKSUM";

/// A way to compute the ones' complement sum. All give the same result for all inputs.
///
/// ```
/// use wharf::checksum::Variant;
///
/// for variant in Variant::all_available() {
///     assert_eq!(variant.sum(b"\x12\x34\x56"), 0x1234 + 0x5600, "{variant}");
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Variant {
    /// 16 bits at a time: the reference.
    Scalar,
    /// 64 bits at a time in general registers.
    Wide,
    /// 256 bits at a time: AVX2, with BMI1 and BMI2.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// 512 bits at a time: AVX-512 F, BW, VL and VNNI, with BMI2.
    #[cfg(target_arch = "x86_64")]
    Avx512,
    /// 128 bits at a time: NEON.
    #[cfg(all(target_arch = "aarch64", target_endian = "little"))]
    Neon,
}

impl Variant {
    /// Every variant of this build, slowest first.
    pub const ALL: &[Self] = &[
        Self::Scalar,
        Self::Wide,
        #[cfg(target_arch = "x86_64")]
        Self::Avx2,
        #[cfg(target_arch = "x86_64")]
        Self::Avx512,
        #[cfg(all(target_arch = "aarch64", target_endian = "little"))]
        Self::Neon,
    ];

    /// Its name, as `WHARF_CHECKSUM` takes it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::Wide => "wide",
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => "avx2",
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => "avx512",
            #[cfg(all(target_arch = "aarch64", target_endian = "little"))]
            Self::Neon => "neon",
        }
    }

    /// Every variant that this CPU can run, slowest first.
    pub fn all_available() -> impl Iterator<Item = Self> {
        Self::ALL.iter().copied().filter(|variant| variant.available())
    }

    /// Whether this CPU can run it.
    #[must_use]
    pub fn available(self) -> bool {
        self.proven().is_some()
    }

    fn proven(self) -> Option<Proven> {
        match self {
            Self::Scalar => Some(Proven::Scalar(Scalar)),
            Self::Wide => Some(Proven::Wide(Wide)),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => Avx2::new().map(Proven::Avx2),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => Avx512::new().map(Proven::Avx512),
            #[cfg(all(target_arch = "aarch64", target_endian = "little"))]
            Self::Neon => Neon::new().map(Proven::Neon),
        }
    }

    /// The fastest one that this CPU can run.
    #[must_use]
    pub fn best() -> Self {
        Self::all_available().last().unwrap_or(Self::Scalar)
    }

    /// What the environment variable `WHARF_CHECKSUM` names, or the best one where it is not set or empty.
    ///
    /// # Errors
    /// When it names no variant, or one that this CPU cannot run. A program calls this first, so that
    /// its user gets a message; [`Variant::chosen`] panics.
    pub fn from_environment() -> Result<Self, VariantError> {
        match std::env::var_os(ENVIRONMENT) {
            Some(name) if !name.is_empty() => name.to_string_lossy().parse(),
            _ => Ok(Self::best()),
        }
    }

    /// The one that this process uses, settled at the first call.
    ///
    /// # Panics
    /// When [`Variant::from_environment`] is an error: a test run that asks for a variant
    /// must not pass on another one.
    #[must_use]
    pub fn chosen() -> Self {
        match chosen() {
            Proven::Scalar(_) => Self::Scalar,
            Proven::Wide(_) => Self::Wide,
            #[cfg(target_arch = "x86_64")]
            Proven::Avx2(_) => Self::Avx2,
            #[cfg(target_arch = "x86_64")]
            Proven::Avx512(_) => Self::Avx512,
            #[cfg(all(target_arch = "aarch64", target_endian = "little"))]
            Proven::Neon(_) => Self::Neon,
        }
    }

    /// The folded ones' complement sum of `bytes`: 0 only when every byte is 0.
    ///
    /// # Panics
    /// When it is not [available](Variant::available).
    #[must_use]
    pub fn sum(self, bytes: &[u8]) -> u16 {
        self.run(One(bytes)).fold()
    }

    /// Runs `task` with this variant's kernel.
    ///
    /// # Panics
    /// When it is not [available](Variant::available).
    pub fn run<T: Task>(self, task: T) -> T::Output {
        match self.proven() {
            Some(kernel) => kernel.run(task),
            None => panic!("{}", VariantError::Unavailable(self)),
        }
    }
}

/// Runs `task` with the kernel of the variant that this process uses.
///
/// # Panics
/// Where [`Variant::chosen`] does.
#[inline]
pub fn run<T: Task>(task: T) -> T::Output {
    chosen().run(task)
}

/// The sum of `bytes`: of few of them on the spot, of more by the variant that this process uses.
#[inline(always)]
pub(super) fn sum(bytes: &[u8]) -> Sum {
    Sum::raw(if bytes.len() <= wide::SHORT { wide::short(bytes) } else { long(bytes) }, bytes)
}

/// Of more bytes than that. The likely kernels are called straight: a call through a pointer is one more thing for the
/// processor to guess.
#[inline(always)] // Two tests and the call.
fn long(bytes: &[u8]) -> u64 {
    match CHOSEN.get() {
        #[cfg(target_arch = "x86_64")]
        Some(Proven::Avx512(kernel)) => kernel.raw_long(bytes),
        #[cfg(target_arch = "x86_64")]
        Some(Proven::Avx2(kernel)) => kernel.raw_long(bytes),
        #[cfg(all(target_arch = "aarch64", target_endian = "little"))]
        Some(Proven::Neon(kernel)) => kernel.raw_long(bytes),
        _ => otherwise(bytes),
    }
}

/// Copies `from` to `to` and gives its sum, of more than [`SHORT`](wide::SHORT) bytes.
///
/// # Panics
/// When the two differ in length.
#[inline(always)]
pub(super) fn copy(to: &mut [u8], from: &[u8]) -> Sum {
    assert_eq!(to.len(), from.len(), "copied bytes must fit exactly");
    let total = match CHOSEN.get() {
        #[cfg(target_arch = "x86_64")]
        Some(Proven::Avx512(kernel)) => kernel.raw_copy_long(to, from),
        #[cfg(target_arch = "x86_64")]
        Some(Proven::Avx2(kernel)) => kernel.raw_copy_long(to, from),
        #[cfg(all(target_arch = "aarch64", target_endian = "little"))]
        Some(Proven::Neon(kernel)) => kernel.raw_copy_long(to, from),
        _ => {
            to.copy_from_slice(from);
            otherwise(from)
        }
    };
    Sum::raw(total, from)
}

/// A sum by whatever kernel it is. The first sum of a process settles that.
#[inline(never)]
fn otherwise(bytes: &[u8]) -> u64 {
    chosen().run(One(bytes)).total
}

/// A sum on its own.
struct One<'a>(&'a [u8]);

impl Task for One<'_> {
    type Output = Sum;

    #[inline(always)]
    fn run<K: Kernel>(self, kernel: K) -> Sum {
        kernel.sum(self.0)
    }
}

/// A variant that was found to be available.
#[derive(Clone, Copy)]
enum Proven {
    Scalar(Scalar),
    Wide(Wide),
    #[cfg(target_arch = "x86_64")]
    Avx2(Avx2),
    #[cfg(target_arch = "x86_64")]
    Avx512(Avx512),
    #[cfg(all(target_arch = "aarch64", target_endian = "little"))]
    Neon(Neon),
}

impl Proven {
    #[inline]
    fn run<T: Task>(self, task: T) -> T::Output {
        match self {
            Self::Scalar(kernel) => kernel.run(task),
            Self::Wide(kernel) => kernel.run(task),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(kernel) => kernel.run(task),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(kernel) => kernel.run(task),
            #[cfg(all(target_arch = "aarch64", target_endian = "little"))]
            Self::Neon(kernel) => kernel.run(task),
        }
    }
}

/// Settled at the first call of [`chosen`].
static CHOSEN: OnceLock<Proven> = OnceLock::new();

/// The kernel that this process uses.
#[inline]
fn chosen() -> Proven {
    *CHOSEN.get_or_init(|| {
        let chosen = Variant::from_environment().unwrap_or_else(|error| panic!("{error}"));
        chosen.proven().unwrap_or(Proven::Scalar(Scalar))
    })
}

/// The variant's name.
impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Variant {
    type Err = VariantError;

    fn from_str(name: &str) -> Result<Self, VariantError> {
        let named = Self::ALL.iter().copied().find(|variant| variant.name() == name);
        match named {
            Some(variant) if variant.available() => Ok(variant),
            Some(variant) => Err(VariantError::Unavailable(variant)),
            None => Err(VariantError::Unknown(name.to_owned())),
        }
    }
}

/// Why a variant cannot be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VariantError {
    /// There is none of that name.
    #[error("no checksum variant {0:?}: {ENVIRONMENT} is one of {names}", names = names())]
    Unknown(String),
    /// It needs instructions that this CPU lacks.
    #[error("checksum variant {0} needs instructions this CPU lacks: {ENVIRONMENT} is one of {names}", names = names())]
    Unavailable(Variant),
}

/// The names of what is available, for a message.
fn names() -> String {
    Variant::all_available().map(Variant::name).collect::<Vec<_>>().join(", ")
}
