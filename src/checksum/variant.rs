//! The variants of the summing loop by name, and which of them this process uses.

use super::{scalar, wide};
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
/// for variant in Variant::ALL.into_iter().filter(|variant| variant.available()) {
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
}

impl Variant {
    /// Every variant of this build, slowest first.
    pub const ALL: [Self; 2] = [Self::Scalar, Self::Wide];

    /// Its name, as `WHARF_CHECKSUM` takes it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::Wide => "wide",
        }
    }

    /// Whether this CPU can run it.
    #[must_use]
    pub const fn available(self) -> bool {
        match self {
            Self::Scalar | Self::Wide => true,
        }
    }

    /// The fastest one that this CPU can run.
    #[must_use]
    pub fn best() -> Self {
        Self::ALL.into_iter().rfind(|variant| variant.available()).unwrap_or(Self::Scalar)
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
    #[inline]
    #[must_use]
    pub fn chosen() -> Self {
        static CHOSEN: OnceLock<Variant> = OnceLock::new();
        *CHOSEN.get_or_init(|| Self::from_environment().unwrap_or_else(|error| panic!("{error}")))
    }

    /// The folded ones' complement sum of `bytes`: 0 only when every byte is 0.
    ///
    /// # Panics
    /// When it is not [available](Variant::available).
    #[inline]
    #[must_use]
    pub fn sum(self, bytes: &[u8]) -> u16 {
        match self {
            Self::Scalar => scalar::sum(bytes),
            Self::Wide => wide::sum(bytes),
        }
    }
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
        let named = Self::ALL.into_iter().find(|variant| variant.name() == name);
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
    let available = Variant::ALL.into_iter().filter(|variant| variant.available());
    available.map(Variant::name).collect::<Vec<_>>().join(", ")
}
